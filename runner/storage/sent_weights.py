"""Weights that borrowers sent to this machine's worker, kept so that the next load sends hashes. Edge: disk.

llama.cpp writes a file for each large tensor under its hash, takes whatever is there for whole, and never removes one.
Only what is in our list, with the size that was sent, is whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.stores.recency import mark_used
from runner.storage.json_file import read_json, write_json

_SHARE, _MOST = 0.25, 100_000_000_000  # of the disk that is free or holds them, and bytes at most
_LIST = "list.json"


@dataclass(frozen=True, slots=True)
class SentWeights:
    """A folder that may take `limit` bytes, by default a quarter of the free disk, 100 GB at most."""

    folder: Path
    limit: int | None = None

    def ready(self) -> None:
        """Make the folder, and remove what a worker that was killed left half written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._keep(self._whole())

    def settle(self, sent: Mapping[str, int], found: Iterable[str]) -> None:
        """A borrower left: what was `sent` (bytes by hash) is whole if it is as long; what was `found` was of use."""
        for name in found:
            mark_used(self.folder / name, self._files())
        self._keep({**self._whole(), **sent})
        self.prune()

    def prune(self) -> None:
        """Remove what was of no use for the longest time, until the others have room."""
        files = sorted(self._files(), key=lambda path: path.stat().st_mtime)
        taken, room = self.bytes, self.room()
        for path in files:
            if taken <= room:
                return
            taken -= path.stat().st_size
            path.unlink(missing_ok=True)

    def clear(self) -> int:
        """Remove all of them; the bytes that frees. A worker that runs goes on to keep what comes."""
        freed = self.bytes
        for path in (*self._files(), self.folder / _LIST):
            path.unlink(missing_ok=True)
        return freed

    @property
    def bytes(self) -> int:
        """What they take."""
        return sum(path.stat().st_size for path in self._files())

    def room(self) -> int:
        """Bytes that all of them may take together."""
        if self.limit is not None:
            return self.limit
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError:
            return 0
        return int(min(_SHARE * (free + self.bytes), _MOST))

    def _files(self) -> list[Path]:
        return [path for path in self.folder.glob("?" * 16) if path.is_file()]

    def _whole(self) -> dict[str, int]:
        try:
            return {str(name): int(size) for name, size in read_json(self.folder / _LIST).items()}
        except (ValueError, TypeError, AttributeError):
            return {}

    def _keep(self, whole: Mapping[str, int]) -> None:
        """Only files that are as long as they should be."""
        kept = {}
        for path in self._files():
            size = path.stat().st_size
            if whole.get(path.name) == size:
                kept[path.name] = size
            else:
                path.unlink(missing_ok=True)
        write_json(self.folder / _LIST, kept)
