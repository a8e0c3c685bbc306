"""Functions that a model may call, from a file. Edge: disk."""

from __future__ import annotations

import json
from pathlib import Path

from models.errors import UsageError
from runner.storage.text_files import text_of
from runner.types.tools import Tool
from runner.types.tools_json import read_tools


def tools_in(name: str) -> tuple[Tool, ...]:
    """The tools in a file. Raises UsageError."""
    try:
        return read_tools(json.loads(text_of(Path(name))))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is no JSON: {error}.") from None
