"""Files of this computer that a message names: which there are, what is in them. Edge: disk."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from runner.storage.text_files import attached
from runner.types.attachment import Attachment

_MOST = 40


def paths_like(begun: str) -> list[str]:
    """Files and folders (with a slash) whose path begins so, from the working folder; hidden ones by their dot."""
    folder, _, name = begun.rpartition("/")
    shown = f"{folder}/" if "/" in begun else ""
    try:
        entries = sorted(Path(shown or ".").expanduser().iterdir(), key=lambda path: path.name.casefold())
        found = [
            f"{shown}{path.name}{'/' if path.is_dir() else ''}"
            for path in entries
            if path.name.casefold().startswith(name.casefold()) and (name.startswith(".") or path.name[0] != ".")
        ]
    except (OSError, RuntimeError, ValueError):  # no such folder, no such home, a null byte
        return []
    return found[:_MOST]


def pasted_path(text: str) -> str | None:
    """The file whose path this is, dragged or copied, quoted or not; None where it is no path of a file."""
    line = text.strip()
    if not line or "\n" in line:
        return None
    try:
        words = shlex.split(line)
    except ValueError:  # a quote that is not closed
        words = []
    unquoted = words[0] if len(words) == 1 else line
    path = unquote(urlsplit(line).path) if line.startswith("file://") else unquoted
    return path if is_file(path) else None


def is_file(path: str) -> bool:
    """Whether there is a file of this path."""
    try:
        return Path(path).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):
        return False


def files_of(paths: Sequence[str]) -> list[Attachment]:
    """The texts of those that are files. Raises UsageError for one that is no text."""
    return [attached(Path(path)) for path in paths if is_file(path)]
