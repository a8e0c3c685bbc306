"""Sizes as people write them and as screens show them. Pure."""

import re

from models.errors import UsageError

MIB = 1 << 20
GIB = 1 << 30

_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([kmgt]?)i?b?", re.IGNORECASE | re.ASCII)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_LARGEST = 1 << 63
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([smhd]?)", re.IGNORECASE | re.ASCII)
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST_S = 3650 * 86400.0


def parse_size(text: str) -> int:
    """Bytes from `64g`, `1.5 GiB`, `512MB`: powers of 1024, any case; a bare number is bytes.

    Raises UsageError for anything else, and for sizes no computer has.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a size; write it like 64g, 512m or 1.5GiB.")
    number, unit = match.groups()
    size = float(number) * 1024.0 ** _POWERS[unit.lower()]
    if size >= _LARGEST:
        raise UsageError(f"{text!r} is more memory than there is; write it like 64g, 512m or 1.5GiB.")
    return round(size)


def parse_duration(text: str) -> float:
    """Seconds from `10m`, `90s`, `1.5h`, `2d`; a bare number is seconds. Raises UsageError for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a time; write it like 10m, 90s or 1h.")
    number, unit = match.groups()
    return min(float(number) * _SECONDS[unit.lower()], _LONGEST_S)


def gib(size: float) -> str:
    """`38.1 GiB`; below 1 GiB in MiB (`512 MiB`); a minus sign is kept."""
    if abs(size) < GIB:
        return f"{size / MIB:.0f} MiB"
    return f"{size / GIB:.1f} GiB"
