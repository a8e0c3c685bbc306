"""Texts to make vectors of: a line each, from a file or from stdin, as they come."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.errors import UsageError
from runner.storage.text_files import UTF_16
from runner.types.vectors import TextLine

_PIECE = 1 << 16  # bytes read at once: a pipe brings what there is
_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Portion:
    """The lines that came together; `share` is how much of the input is read by then, None where it has no size."""

    lines: tuple[TextLine, ...]
    share: float | None


@contextmanager
def source(path: Path | None) -> Iterator[int]:
    """The file, or stdin, as a descriptor. UsageError where there is nothing to read."""
    if path is None:
        if sys.stdin.isatty():
            raise UsageError("There are no texts: name a file of them, or pipe them in, a line each.")
        yield sys.stdin.fileno()
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def portions(descriptor: int) -> Iterator[Portion]:
    """Lines in portions as they come. Only a newline ends one, and one that says nothing is none. UsageError."""
    found = os.fstat(descriptor)
    size = found.st_size if stat.S_ISREG(found.st_mode) else None
    read, number, rest = 0, 0, b""
    while piece := _read(descriptor):
        if not read and piece.startswith(UTF_16):
            raise UsageError("The texts are UTF-16, and wanted as UTF-8; iconv -f UTF-16 -t UTF-8 makes them that.")
        read += len(piece)
        *whole, rest = (rest + piece).split(b"\n")
        if lines := tuple(_lines(whole, number)):
            yield Portion(lines, read / size if size else None)
        number += len(whole)
    if lines := tuple(_lines([rest], number)):
        yield Portion(lines, 1.0 if size else None)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _PIECE)
    except OSError as error:
        raise UsageError(f"The texts cannot be read: {error.strerror}.") from None


def _lines(raw: list[bytes], before: int) -> Iterator[TextLine]:
    for number, line in enumerate(raw, before + 1):
        text = line.decode("utf-8", "replace").removesuffix("\r")
        text = text.removeprefix(_MARK) if number == 1 else text
        if text.strip():
            yield _line(text, number)


def _line(text: str, number: int) -> TextLine:
    """Plain text, or an object with `text` and perhaps `id`."""
    if not text.lstrip().startswith("{"):
        return TextLine(number, str(number), text)
    try:
        said = json.loads(text)
        return TextLine(number, str(said.get("id", number)), _text(said["text"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        wrong = "A line that starts with a brace must be JSON with a text."
        return TextLine(number, str(number), "", wrong)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text")
    return value
