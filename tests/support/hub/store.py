"""Repositories as folders: what the Hub knows about files and commits."""

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HISTORY = ".history"  # root/.history/ORG/REPO/COMMIT/files…: hard links to what earlier commits held
SETTINGS = ".hub.json"  # in a repository's folder: {"downloads": 5, "gated": "manual", "license": "mit", "tags": []}
SPARSE_FROM = 64 << 20


@dataclass(frozen=True, slots=True)
class Blob:
    """One file of a commit: `etag` is the sha256 of a large file, git's sha1 of a small one."""

    name: str
    path: Path
    bytes: int
    etag: str
    is_lfs: bool


@dataclass(frozen=True, slots=True)
class Repo:
    """One commit of a repository."""

    name: str
    commit: str
    blobs: tuple[Blob, ...]
    settings: dict[str, Any] = field(default_factory=dict)

    def blob(self, name: str) -> Blob | None:
        return next((blob for blob in self.blobs if blob.name == name), None)


class Store:
    """Reads `root/ORG/REPO/…` afresh at each question; remembers digests by size and time of change."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._etags: dict[tuple[Path, int, int], str] = {}
        self._lock = threading.RLock()

    def names(self) -> list[str]:
        folders = (path for path in self.root.glob("*/*") if path.is_dir())
        return sorted(f"{path.parent.name}/{path.name}" for path in folders if path.parent.name != HISTORY)

    def repo(self, name: str, revision: str = "main") -> Repo | None:
        """The repository at a revision; None if there is no such repository, or commit."""
        folder = self.root / name
        if not folder.is_dir():
            return None
        settings_file = folder / SETTINGS
        settings = json.loads(settings_file.read_text()) if settings_file.exists() else {}
        current = self._commit(name, folder, settings)
        if revision in ("main", current.commit):
            return current
        old = self.root / HISTORY / name / revision
        return Repo(name, revision, self._blobs(old), settings) if old.is_dir() else None

    def push(self, name: str, files: Mapping[str, bytes]) -> str:
        """Make a new commit with these files changed or added; the old one stays reachable by its hash."""
        with self._lock:
            old = self.repo(name)
            assert old is not None, f"no repository {name}"
            for blob in old.blobs:
                kept = self.root / HISTORY / name / old.commit / blob.name
                kept.parent.mkdir(parents=True, exist_ok=True)
                if not kept.exists():
                    kept.hardlink_to(blob.path)
            for file, content in files.items():
                target = self.root / name / file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.with_name(".new").write_bytes(content)
                target.with_name(".new").replace(target)
            new = self.repo(name)
            assert new is not None
            return new.commit

    def _commit(self, name: str, folder: Path, settings: dict[str, Any]) -> Repo:
        blobs = self._blobs(folder)
        content = "\n".join(f"{blob.name} {blob.etag}" for blob in blobs)
        return Repo(name, hashlib.sha1(content.encode()).hexdigest(), blobs, settings)

    def _blobs(self, folder: Path) -> tuple[Blob, ...]:
        files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        return tuple(self._blob(path.relative_to(folder).as_posix(), path) for path in files)

    def _blob(self, name: str, path: Path) -> Blob:
        stat = path.stat()
        is_lfs = path.suffix == ".gguf" or stat.st_size > 1 << 20
        key = (path, stat.st_size, stat.st_mtime_ns)
        with self._lock:
            if key not in self._etags:
                self._etags[key] = digest(path, stat) if is_lfs else git_digest(path)
            return Blob(name, path, stat.st_size, self._etags[key], is_lfs)


def digest(path: Path, stat: os.stat_result) -> str:
    """sha256 of the content; of name and size where a large file is mostly holes (nobody downloads those)."""
    if stat.st_size >= SPARSE_FROM and stat.st_blocks * 512 < stat.st_size // 2:
        return hashlib.sha256(f"{path.name} {stat.st_size}".encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_digest(path: Path) -> str:
    """Git's name of a blob."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
