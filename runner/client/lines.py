"""Lines out of a pipe, waited for only so long."""

from __future__ import annotations

import select
from typing import BinaryIO

_MOST = 1 << 16


class Lines:
    """`stream` must be unbuffered; it may be closed under the reader, which then is at its end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._held = bytearray()

    def next(self, seconds: float) -> bytes | None:
        """The next line with its newline; empty at the end (half a line is none); None if none came in time."""
        while (end := self._held.find(b"\n")) < 0:
            try:
                if not self._is_ready(seconds):
                    return None
                came = self._stream.read(_MOST)
            except (OSError, ValueError):
                return b""
            if not came:
                return b""
            self._held += came
        line = bytes(self._held[: end + 1])
        del self._held[: end + 1]
        return line

    def _is_ready(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._stream, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
