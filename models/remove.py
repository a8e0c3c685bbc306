"""Take weights off this machine again: only out of the Hugging Face cache, where downloads went. Edge: the disk.

Files of other programs (Ollama's store, LM Studio's folder, packages, files that were named by their path) are never
touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from models import catalog, local
from models.errors import DownloadError, ModelNotFound
from models.weights import Offer


@dataclass(frozen=True, slots=True)
class Removal:
    """What would go: files as they appear in the cache, and the bytes that frees."""

    paths: tuple[Path, ...]
    bytes: int


def removal(name: str, quant: str | None = None) -> Removal:
    """What `rm NAME` would remove. ModelNotFound says why there is nothing that may be removed."""
    repo, _, tag = name.partition(":")
    wanted = quant or tag or None
    offers = [offer for one in _repositories(repo) if (offer := local.cached(one))]
    paths = [
        file.path
        for offer in offers
        for one in offer.sets
        if wanted is None or one.quant.casefold() == wanted.casefold()
        for file in one.files
        if file.path is not None
    ]
    if not paths:
        raise ModelNotFound(_why_nothing(name, wanted, offers))
    blobs = {path.resolve() for path in paths}
    return Removal(tuple(paths), sum(blob.stat().st_size for blob in blobs))


def _repositories(name: str) -> tuple[str, ...]:
    entry = catalog.lookup(name)
    return tuple(repository.name for repository in entry.repositories) if entry else (name,)


def _why_nothing(name: str, quant: str | None, offers: list[Offer]) -> str:
    if offers:
        return f"{name} is here, but not as {quant}; it has {', '.join(one.quant for o in offers for one in o.sets)}."
    other = next((offer for offer in local.find_local() if offer.name.lower() == name.lower()), None)
    if other is not None:
        return f"{name} belongs to {other.origin}; localrun removes only what lies in the Hugging Face cache."
    return f"There are no downloaded weights of {name}; localrun list shows what is here."


def remove(doomed: Removal) -> int:
    """Remove it; the bytes that were freed. DownloadError where the disk refuses."""
    before = _sizes(doomed)
    try:
        for path in doomed.paths:
            blob = path.resolve()
            for link in _links_to(blob, path):
                link.unlink(missing_ok=True)
            blob.unlink(missing_ok=True)
            _tidy(path.parent)
    except OSError as error:
        raise DownloadError(f"{error.filename} cannot be removed: {error.strerror}.") from error
    return before - _sizes(doomed)


def _sizes(doomed: Removal) -> int:
    return sum(blob.stat().st_size for blob in {path.resolve() for path in doomed.paths} if blob.exists())


def _links_to(blob: Path, path: Path) -> Iterator[Path]:
    """Every name of the blob in the snapshots of its repository, and the links between."""
    folder = next((level for level in path.parents if level.name.startswith("models--")), path.parent)
    for link in [*folder.glob("snapshots/**/*"), *folder.glob("blobs/*")]:
        if link.is_symlink() and link.resolve() == blob:
            yield link
    yield path


def _tidy(folder: Path) -> None:
    """Remove the folders of a snapshot that are empty now."""
    while not folder.name.startswith("models--") and folder.parent != folder:
        with suppress(OSError):
            folder.rmdir()
        folder = folder.parent
