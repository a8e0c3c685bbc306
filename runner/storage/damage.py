"""Files of ours that cannot be read any more: kept under another name, and said. Edge: disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from runner.storage import history
from runner.storage.paths import Paths


def set_aside(paths: Paths) -> Iterator[str]:
    """Rename what is damaged to `NAME.damaged`, before something fresh takes its place; a sentence for each."""
    kept: dict[Path, Callable[[bytes], bool]] = {
        paths.history: history.is_readable,
        paths.tuned: lambda data: _holds(list, data),
        paths.listings: lambda data: _holds(dict, data),
        paths.bandwidth: lambda data: _holds(dict, data),
        paths.download_rate: lambda data: _holds(dict, data),
        paths.roads: lambda data: _holds(dict, data),
    }
    for path, is_readable in kept.items():
        try:
            if not is_readable(path.read_bytes()):
                aside = _free(path)
                path.rename(aside)
                yield f"{path} is damaged: it lies in {aside.name} there, and a fresh one takes its place."
        except OSError:
            continue  # there is none, or nothing can take its place either


def _holds(kind: type, data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), kind)
    except (ValueError, RecursionError):
        return False


def _free(path: Path) -> Path:
    names = (f"{path.name}.damaged{f'-{number}' if number > 1 else ''}" for number in count(1))
    return next(one for one in map(path.with_name, names) if not one.exists())
