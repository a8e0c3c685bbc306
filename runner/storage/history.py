"""What was measured here, on disk: a line of JSON each; after a month it is forgotten."""

from __future__ import annotations

import fcntl
import json
import math
import time
from pathlib import Path

from models.stores.replacing import replace_file
from runner.storage.lines import append_lines
from runner.types.codec import pack, unpack
from runner.types.measurement import Measurement

_LIFETIME_S = 30 * 24 * 3600.0  # drivers and neighbours change
_LINES = 500


def read(path: Path, now: float | None = None) -> tuple[Measurement, ...]:
    """What is on disk and still counts, oldest first; damaged lines are passed over."""
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    today = time.time() if now is None else now
    return tuple(
        found for line in lines if (found := _measurement(line)) is not None and abs(today - found.at) < _LIFETIME_S
    )


def is_readable(data: bytes) -> bool:
    """Whether a file's content is empty or has at least one measurement."""
    return not data or any(map(_measurement, data.decode("utf-8", "replace").splitlines()))


def _measurement(line: str) -> Measurement | None:
    try:
        found = unpack(Measurement, json.loads(line))
        numbers = [found.ctx, found.decode_tps, found.prefill_tps, found.at]
        numbers += [number for row in found.measured for number in (row.weights, row.kv, row.compute)]
        if found.guessed is not None:
            brought = found.guessed.drafted
            numbers += [brought.drafted, brought.accepted, brought.gain, brought.drafted - brought.accepted]
        return found if all(math.isfinite(number) and number >= 0 for number in numbers) else None
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def add(path: Path, measurement: Measurement) -> None:
    """Append one; the file is cut to its newer half when it has grown. A disk that refuses costs only this one."""
    line = json.dumps(pack(measurement)).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _append(path, line)
    except OSError:
        return


def _append(path: Path, line: bytes) -> None:
    """In whole lines, whatever an earlier process has left unfinished."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    if len(lines) < _LINES:
        append_lines(path, line)
    else:
        replace_file(path, b"\n".join(lines[-_LINES // 2 :]) + b"\n" + line)
