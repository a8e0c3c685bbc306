"""Rates that take time to find out, kept for the next start: of memory, of roads to others, of the last download."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from runner.storage.json_file import read_json, write_json
from runner.types.codec import pack, unpack
from runner.types.machine import Road
from runner.types.measurement import Bandwidth

_MOST_ROADS = 64


def bandwidth(path: Path, computer: str) -> Bandwidth | None:
    """What was measured on this computer, whatever it is called; None if nothing was."""
    try:
        kept = read_json(path)[computer]
        return Bandwidth(_rate(kept), bool(kept["quiet"]))
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def keep_bandwidth(path: Path, computer: str, measured: Bandwidth) -> None:
    """Remember it, and forget what other computers had."""
    write_json(path, {computer: pack(measured)})


def road(path: Path, endpoint: str) -> Road | None:
    """How far away and how wide the road to a lender was; None if nobody measured it."""
    try:
        return unpack(Road, read_json(path)[endpoint])
    except (ValueError, KeyError, TypeError):
        return None


def keep_road(path: Path, endpoint: str, measured: Road) -> None:
    """Remember it beside those to others, the latest of them."""
    known = read_json(path)
    others = [one for one in (known if isinstance(known, dict) else {}).items() if one[0] != endpoint]
    write_json(path, dict([*others[1 - _MOST_ROADS :], (endpoint, pack(measured))]))


def download_rate(path: Path) -> float | None:
    """Bytes per second of the last download; None if there was none."""
    try:
        return _rate(read_json(path))
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def keep_download_rate(path: Path, rate: float) -> None:
    """Remember it in the place of the one before."""
    write_json(path, {"bytes_per_s": rate})


def _rate(kept: Any) -> float:
    """Raises ValueError, KeyError or TypeError where there is none."""
    rate = float(kept["bytes_per_s"])
    if not 0 < rate < math.inf:
        raise ValueError(f"{rate} is no rate")
    return rate
