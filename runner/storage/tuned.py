"""Placements that won when several were measured, on disk: one for each question; after a month it is forgotten."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from runner.storage.json_file import read_json, write_json
from runner.types.codec import pack, unpack
from runner.types.measurement import Tuned

_LIFETIME_S = 30 * 24 * 3600.0  # drivers and llama.cpp change
_MOST = 200


def read(path: Path, now: float | None = None) -> tuple[Tuned, ...]:
    """What is kept and still counts, oldest first; what is damaged is passed over."""
    today = time.time() if now is None else now
    return tuple(one for one in _all(path) if abs(today - one.at) < _LIFETIME_S)


def _all(path: Path) -> list[Tuned]:
    """Also those that do not count at this moment: the clock may be wrong."""
    kept = read_json(path)
    found = [_tuned(one) for one in kept] if isinstance(kept, list) else []
    return [one for one in found if one is not None]


def _tuned(kept: Any) -> Tuned | None:
    try:
        found = unpack(Tuned, kept)
        placement = found.placement
        counts = [placement.ctx, placement.ubatch, placement.threads, placement.layers_total]
        is_sound = all(type(count) is int and count > 0 for count in counts)
        return found if is_sound and math.isfinite(found.at) and math.isfinite(found.gain) else None
    except (ValueError, TypeError, AttributeError):
        return None


def keep(path: Path, tuned: Tuned) -> None:
    """Remember it in the place of what was kept for its question."""
    write_json(path, pack([*_others(path, tuned.question), tuned][-_MOST:]))


def forget(path: Path, question: str) -> None:
    """Keep nothing for this question."""
    if len(others := _others(path, question)) < len(_all(path)):
        write_json(path, pack(others))


def _others(path: Path, question: str) -> list[Tuned]:
    return [one for one in _all(path) if one.question != question]
