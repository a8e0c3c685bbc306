"""A JSON file that may be missing or damaged, and that nobody ever sees half-written. Edge: disk."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from models.stores.replacing import replace_file


def read_json(path: Path) -> Any:
    """What the file holds; None where it is missing or damaged."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def write_json(path: Path, value: Any) -> None:
    """Put `value` in the place of what the file held, its folder included; a disk that refuses costs only that."""
    with suppress(OSError):
        replace_file(path, json.dumps(value).encode())
