"""Files that a message names with @. Pure."""

import re

from runner.types.attachment import without_files

_MENTION = re.compile(r'(?<!\S)@(?:"([^"\n]+)"|(\S+))')
_BEGUN = re.compile(r'(?:^|\s)@(?:"([^"\n]*)|([^\s"]*))$')


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


def looks_like_path(named: str) -> bool:
    """Whether what is named can hardly be anything but a file: a folder before it, or an ending."""
    return "/" in named or re.search(r"\w\.\w", named) is not None


def completed(text: str, path: str) -> str:
    """The text with the path that its end has begun to name."""
    found = _BEGUN.search(text)
    return text if found is None else text[: text.rindex("@")] + mention(path)


def as_written(prompt: str) -> str:
    """A message as somebody wrote it, to be written anew: without the files before it that it names."""
    question, files = without_files(prompt)
    named = mentions(question)
    return question if all(file.name in named for file in files) else prompt
