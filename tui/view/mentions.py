"""Files that a message names with @, and how their texts go with it and are folded again. Pure."""

import re
from collections.abc import Sequence

from runner.types.attachment import Attachment

_MENTION = re.compile(r'(?<!\S)@(?:"([^"\n]+)"|(\S+))')
_BEGUN = re.compile(r'(?:^|\s)@(?:"([^"\n]*)|([^\s"]*))$')
_FILE = re.compile(r"\n\n([^\n]+):\n(`{3,})\n(.*?)\n\2(?=\n\n|\Z)", re.DOTALL)


def mention(path: str) -> str:
    """How a path is named: `@notes.txt`, `@"my notes.txt"`."""
    return f'@"{path}"' if re.search(r"\s", path) else f"@{path}"


def mentions(text: str) -> list[str]:
    """Every path that is named, once."""
    found = (quoted or plain for quoted, plain in _MENTION.findall(text))
    return list(dict.fromkeys(found))


def begun(text: str) -> str | None:
    """The part of a path that the end of a text names; None where it names none."""
    found = _BEGUN.search(text)
    return None if found is None else found[1] if found[1] is not None else found[2]


def completed(text: str, path: str) -> str:
    """The text with the path that its end has begun to name."""
    found = _BEGUN.search(text)
    return text if found is None else text[: text.rindex("@")] + mention(path)


def with_files(text: str, files: Sequence[Attachment]) -> str:
    """A message with the texts of its files behind it."""
    return "\n\n".join((text, *(file.inlined for file in files)))


def folded(text: str) -> tuple[str, list[Attachment]]:
    """A message as it was written, and the files that went with it: those behind it that it names."""
    start = next((found.start() for found in _FILE.finditer(text) if _is_named(found[1], text[: found.start()])), None)
    if start is None:
        return text, []
    files = [Attachment(found[1], found[3]) for found in _FILE.finditer(text, start)]
    written = text[:start]
    is_whole = with_files(written, files) == text
    return (written, files) if is_whole else (text, [])


def _is_named(path: str, written: str) -> bool:
    return path in mentions(written)
