"""The terminal's settings, which are not ours to keep."""

from __future__ import annotations

import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unchanged() -> Iterator[None]:
    """Behind the block the settings are those before it, also where Textual was stopped and went on.

    After a SIGSTOP that it could not prepare for it takes its own settings for those that it found.
    """
    try:
        before = termios.tcgetattr(sys.stdin)
    except termios.error:  # no terminal
        yield
        return
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
