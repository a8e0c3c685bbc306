"""What people give a chat template: the file of one, and variables."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from models.errors import UsageError
from runner.storage.text_files import attached, text_of
from runner.types.templating import Templating
from runner.types.tools import Tool


def read_template(name: str) -> Templating:
    """The template in a file. Raises UsageError."""
    return Templating(attached(Path(name)).text, f"The chat template {name}")


def template_variable(typed: str) -> tuple[str, object]:
    """`K=V`: V is JSON, text where it is none, and with an @ in front the name of a file of either. UsageError."""
    name, sign, value = typed.partition("=")
    if not sign or not name.isidentifier():
        raise UsageError(f"{typed!r} is not K=V with a name before the sign.")
    if name == "messages":
        raise UsageError("messages is the conversation itself.")
    text = text_of(Path(value[1:])) if value.startswith("@") else value
    try:
        return name, json.loads(text)
    except (ValueError, RecursionError):
        return name, text


def templating_of(
    template: Templating | None, variables: Iterable[tuple[str, object]], tools: tuple[Tool, ...]
) -> Templating:
    """All as one value."""
    found = template or Templating()
    return Templating(found.text, found.source, json.dumps(dict(variables)), tools=tools)
