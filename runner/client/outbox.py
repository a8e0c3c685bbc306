"""Lines on their way to an engine, which may be slow to take them."""

from __future__ import annotations

import select
import threading
from collections import deque
from contextlib import suppress
from typing import BinaryIO

_TICK_S = 0.2


class Outbox:
    """`stream` must be unbuffered and not block. Any thread may send, and so may a signal's handler."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lines: deque[bytes] = deque()
        self._writing = threading.Lock()

    def send(self, line: bytes) -> None:
        """Write a line; while another thread is writing, or who was interrupted by this one, that one sees to it.

        Nothing is said of an engine that is gone: whoever waits for its answer is told so.
        """
        self._lines.append(line)
        while self._lines and self._writing.acquire(blocking=False):
            try:
                with suppress(OSError, ValueError):  # gone, or closed under us
                    while self._lines:
                        self._write(self._lines.popleft())
            finally:
                self._writing.release()

    def _write(self, line: bytes) -> None:
        left = memoryview(line)
        while left:
            left = left[self._stream.write(left) or 0 :]
            if left:
                self._wait()

    def _wait(self) -> None:
        """For room, a moment."""
        poll = select.poll()
        poll.register(self._stream, select.POLLOUT)
        poll.poll(_TICK_S * 1000)
