"""Text files of a person, as they go into a prompt. Edge: disk."""

import codecs
import os
import stat
from pathlib import Path

from models.errors import UsageError
from runner.types.attachment import Attachment

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LOOK = 8192  # bytes that say whether it is text
_MOST = 64 << 20  # bytes; no context holds that many


def attached(path: Path) -> Attachment:
    """A file to go with a prompt. Raises UsageError where it cannot be read, is no text, or is empty."""
    text = text_of(path)
    if not text.strip():
        raise UsageError(f"{path} is empty.")
    return Attachment(str(path), text)


def text_of(path: Path) -> str:
    """What a file or a pipe says: UTF-8, or UTF-16 with its mark; bytes that are no text are \ufffd. UsageError."""
    try:
        return _read(path.expanduser())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except (RuntimeError, ValueError) as error:  # no such home, a null byte, no text
        raise UsageError(f"{path} cannot be read: {error}.") from None


def decoded(data: bytes, errors: str = "strict") -> str:
    """Bytes as text: UTF-8, or UTF-16 where its mark says so; no mark is a part of the text. UnicodeDecodeError."""
    return data.decode("utf-16" if data.startswith(UTF_16) else "utf-8-sig", errors)


def _read(path: Path) -> str:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise ValueError("it is no file")
        head = file.read(_LOOK)
        if head.startswith(UTF_16):
            return decoded(head + file.read(_MOST), "replace")
        if b"\0" in head:
            raise ValueError("it is not text")
        data = head + file.read(_MOST)
    if len(data) > _MOST:
        raise ValueError(f"it has more than {_MOST >> 20} MiB")
    return decoded(data, "replace")
