"""Where a file of the Hub lies in Hugging Face's cache, and how it becomes an ordinary entry of it. Edge: disk."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from models.errors import DownloadError
from models.stores.places import hub_cache
from models.stores.replacing import replace_file
from models.visible import LONGEST, is_plain, one_line
from models.weights import WeightFile, WeightSet


@dataclass(frozen=True, slots=True)
class Place:
    """One file's place; `folder` is its repository's.

    The file grows as `part`, which is good to go on from at any moment, becomes `blob` when its digest is right, and
    `snapshot` links to it. `lock` is the one huggingface-hub takes for the same file.
    """

    folder: Path
    blob: Path
    part: Path
    lock: Path
    snapshot: Path

    @property
    def bytes(self) -> int:
        """What is there of the file, whole or in part."""
        return size_of(self.blob) or size_of(self.part)

    def link(self) -> None:
        """Let the snapshot name the blob; on a system without links the snapshot holds the file."""
        self.snapshot.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.snapshot.symlink_to(os.path.relpath(self.blob, self.snapshot.parent))
        except FileExistsError:
            return
        except OSError:
            self.blob.replace(self.snapshot)


def weights_folder() -> Path:
    """Where downloads go: the Hugging Face cache of this user."""
    return hub_cache(os.environ, Path.home())


def place_of(file: WeightFile, cache: Path | None = None) -> Place:
    """The file's place under `cache` (None: `weights_folder`). Raises DownloadError for what is on no Hub."""
    if file.repo is None or file.revision is None or not stays_inside(file.name):
        raise DownloadError(f"{one_line(file.name, LONGEST)} is not a file of the Hub. Give it as a path.")
    root = cache or weights_folder()
    name = f"models--{file.repo.replace('/', '--')}"
    blob = root / name / "blobs" / (file.sha256 or "unknown")
    return Place(
        folder=root / name,
        blob=blob,
        part=blob.with_name(f"{blob.name}.localrun.part"),
        lock=root / ".locks" / name / f"{blob.name}.lock",
        snapshot=root / name / "snapshots" / file.revision / file.name,
    )


def as_on_disk(weights: WeightSet, cache: Path | None = None) -> WeightSet:
    """The set as it lies here at this moment: the paths of what has come, the bytes of what earlier downloads left.

    The last byte counts as missing until the digest is checked and the file has its name.
    """
    return replace(weights, files=tuple(_as_on_disk(file, cache) for file in weights.files))


def _as_on_disk(file: WeightFile, cache: Path | None) -> WeightFile:
    if file.path is not None or file.repo is None or file.revision is None:
        return file
    place = place_of(file, cache)
    if place.snapshot.exists():
        return replace(file, path=place.snapshot, fetched=0)
    return replace(file, fetched=max(0, min(place.bytes, file.bytes - 1)))


def name_main(folder: Path, revision: str) -> None:
    """Let `refs/main` name the commit: llama.cpp and offline look-ups go by it."""
    replace_file(folder / "refs" / "main", revision.encode())


def stays_inside(name: str) -> bool:
    """Whether a file's name from the Hub leads to a place inside its folder, and can be printed."""
    parts = PurePosixPath(name).parts
    return bool(parts) and parts[0] != "/" and ".." not in parts and "\\" not in name and is_plain(name)


def disk_free(folder: Path) -> int:
    """Free bytes of the disk where `folder` is or will be."""
    existing = next(level for level in (folder, *folder.parents) if level.exists())
    return shutil.disk_usage(existing).free


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
