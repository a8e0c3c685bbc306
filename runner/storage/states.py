"""Where states of conversations are kept (runner/engine/state_file.py writes them), and for how long. Edge: disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from models.stores.recency import mark_used

_SHARE, _MOST = 0.1, 20_000_000_000  # of the disk that is free or holds states, and bytes at most
_ENDING = ".state"
_ABANDONED_S = 3600.0  # what is half written for so long, its process was killed


@dataclass(frozen=True, slots=True)
class States:
    """A folder of states that may take `limit` bytes, by default a tenth of the free disk, 20 GB at most."""

    folder: Path
    limit: int | None = None

    def path(self, name: str, owner: str) -> Path:
        """The file for a conversation of that name with these weights, whether it is there or not."""
        return self.folder / (blake2b(f"{owner}\n{name}".encode(), digest_size=16).hexdigest() + _ENDING)

    def used(self, path: Path) -> None:
        """Somebody wrote it, or went on from it."""
        mark_used(path, self._files())

    def room(self) -> int:
        """Bytes that all of them may take together."""
        if self.limit is not None:
            return self.limit
        try:
            free = shutil.disk_usage(self.folder.parent if not self.folder.exists() else self.folder).free
        except OSError:
            return 0
        return int(min(_SHARE * (free + self.bytes), _MOST))

    @property
    def bytes(self) -> int:
        """What they take."""
        return sum(size for _used, size, _path in self._all())

    def prune(self) -> None:
        """Remove those that nobody went on from for the longest time, until the others have room."""
        for path in self.folder.glob(f".*{_ENDING}.*"):
            with suppress(OSError):
                if abs(time.time() - path.stat().st_mtime) > _ABANDONED_S:  # a clock that was ahead dated it, else
                    path.unlink()
        found, room = sorted(self._all()), self.room()
        taken = sum(size for _used, size, _path in found)
        for _used, size, path in found:
            if taken <= room:
                return
            self._remove(path)
            taken -= size

    def clear(self) -> int:
        """Remove all of them, and what a process that was killed left half written; the bytes that frees."""
        freed = 0
        for path in self.folder.glob(f"*{_ENDING}*"):
            with suppress(OSError):
                freed += path.stat().st_size
            self._remove(path)
        return freed

    def _all(self) -> list[tuple[float, int, Path]]:
        """(last used, bytes, path) of each."""
        found = []
        for path in self._files():
            with suppress(OSError):
                of = path.stat()
                found.append((of.st_mtime, of.st_size, path))
        return found

    def _files(self) -> Iterator[Path]:
        return self.folder.glob(f"*{_ENDING}")

    @staticmethod
    def _remove(path: Path) -> None:
        with suppress(OSError):
            path.unlink()
