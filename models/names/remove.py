"""Take weights off this machine again: only out of the Hugging Face cache, where downloads go. Edge: the disk.

Files of other programs (Ollama's store, LM Studio's folder, llama.cpp's own cache, packages, files that were named by
their path) are never touched.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from models.errors import DownloadError, ModelNotFound
from models.names import catalog
from models.names.resolve import split_quant
from models.stores import local
from models.stores.cache import size_of, weights_folder
from models.weights import Offer

_OURS = "huggingface"


@dataclass(frozen=True, slots=True)
class Removal:
    """What would go: `paths` of weights as they appear in the cache, `leftovers` of downloads; the bytes that frees."""

    paths: tuple[Path, ...]
    leftovers: tuple[Path, ...]
    bytes: int


def removal(name: str, quant: str | None = None) -> Removal:
    """What `rm NAME` would remove: one quantization, or all with what interrupted downloads left.

    ModelNotFound says why there is nothing that may be removed.
    """
    model, tag = split_quant(name)
    wanted = quant or tag
    repositories = _repositories(model)
    offers = [offer for repo in repositories if (offer := local.cached(repo)) and offer.origin == _OURS]
    paths = tuple(_paths(offers, wanted))
    leftovers = tuple(left for repo in repositories for left in _leftovers(repo)) if wanted is None else ()
    if not paths and not leftovers:
        raise ModelNotFound(_why_nothing(model, wanted, repositories, offers))
    return Removal(paths, leftovers, _sizes((*paths, *leftovers)))


def _repositories(model: str) -> tuple[str, ...]:
    entry = catalog.lookup(model)
    if entry is not None:
        return tuple(repository.name for repository in entry.repositories)
    return (model,) if catalog.REPOSITORY.fullmatch(model) else ()


def _paths(offers: Iterable[Offer], quant: str | None) -> Iterator[Path]:
    for offer in offers:
        for one in offer.sets:
            if quant is None or one.is_called(quant):
                yield from (file.path for file in one.files if file.path is not None)


def _leftovers(repo: str) -> Iterator[Path]:
    """What downloads of ours have begun and not ended."""
    blobs = weights_folder() / f"models--{repo.replace('/', '--')}" / "blobs"
    for ending in ("part", "aside"):
        yield from sorted(blobs.glob(f"*.localrun.{ending}"))


def _why_nothing(model: str, quant: str | None, repositories: tuple[str, ...], offers: list[Offer]) -> str:
    if offers:
        return f"{model} is here, but not as {quant}; it has {', '.join(one.quant for o in offers for one in o.sets)}."
    names = {name.casefold() for name in (model, *repositories)}
    entry = catalog.lookup(model)
    for other in local.find_local():
        if other.name.casefold() in names or (entry and entry.package and other.origin == "package"):
            owner = "a Python package" if other.origin == "package" else other.origin
            return f"{other.name} belongs to {owner}; localrun removes only what lies in the Hugging Face cache."
    return f"There are no downloaded weights of {model}; localrun list shows what is here."


def remove(doomed: Removal) -> int:
    """Remove it; the bytes that were freed. DownloadError where the disk refuses."""
    before = _sizes((*doomed.paths, *doomed.leftovers))
    folders = {_repository_folder(path) for path in (*doomed.paths, *doomed.leftovers)}
    try:
        for path in doomed.paths:
            _remove_file(path)
        for left in doomed.leftovers:
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
        for folder in folders:
            _tidy(folder)
    except OSError as error:
        raise DownloadError(f"{error.filename} cannot be removed: {error.strerror}.") from error
    return before - _sizes((*doomed.paths, *doomed.leftovers))


def _sizes(paths: Iterable[Path]) -> int:
    """Bytes in the cache, each file once; what a link leads to elsewhere is not counted, for it stays."""
    files = {file.resolve() for path in paths for file in _files(path) if _is_inside(file)}
    return sum(map(size_of, files))


def _files(path: Path) -> Iterator[Path]:
    yield from (file for file in path.rglob("*") if not file.is_dir()) if path.is_dir() else (path,)


def _is_inside(path: Path) -> bool:
    return path.resolve().is_relative_to(_repository_folder(path).resolve())


def _repository_folder(path: Path) -> Path:
    return next(level for level in path.parents if level.name.startswith("models--"))


def _remove_file(path: Path) -> None:
    """The blob, and every name it has in the snapshots of its repository; what lies elsewhere loses only the name."""
    blob, is_ours = path.resolve(), _is_inside(path)
    for link in _repository_folder(path).glob("snapshots/**/*"):
        if link.is_symlink() and link.resolve() == blob:
            link.unlink()
    if is_ours:
        blob.unlink(missing_ok=True)


def _tidy(repository: Path) -> None:
    """Remove the folders that are empty now, and a repository of which nothing but the name of its commit is left."""
    for folder in sorted(repository.glob("snapshots/**/"), reverse=True):
        with suppress(OSError):
            folder.rmdir()
    if not any((repository / "snapshots").glob("*")) and not any((repository / "blobs").glob("*")):
        shutil.rmtree(repository)
