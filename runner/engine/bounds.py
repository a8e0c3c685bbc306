"""Bounds for what others wrote: a chat template is a program, a grammar as good as one; neither may hang the engine or
eat the memory.

An endless one may hold the interpreter (`{{ 7**(10**8) }}` does), so what ends it is a signal that needs none: SIGALRM,
which ends the process. The parent says why (runner/client/death.py) and starts another at the next message.
"""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.types.failures import GRAMMAR_S, TEMPLATE_S

_MORE_BYTES, _PER_LETTER = 1 << 30, 64
_STATM = Path("/proc/self/statm")
_DATA = 5  # its field in pages, proc_pid_statm(5)


@contextmanager
def bounded(letters: int) -> Iterator[None]:
    """Within, `TEMPLATE_S` seconds end the process, and memory is bounded."""
    signal.setitimer(signal.ITIMER_REAL, TEMPLATE_S)
    try:
        with bounded_memory(letters):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def bounded_work() -> Iterator[None]:
    """Within, `GRAMMAR_S` seconds of computing end the process, by a signal of its own."""
    signal.setitimer(signal.ITIMER_VIRTUAL, GRAMMAR_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


@contextmanager
def bounded_memory(letters: int) -> Iterator[None]:
    """Within, memory far beyond what so many letters need is a MemoryError; on Linux, no other system counts it so."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with suppress(OSError, ValueError):  # an own limit of the user's is lower
        resource.setrlimit(resource.RLIMIT_DATA, (_held() + _MORE_BYTES + _PER_LETTER * letters, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _held() -> int:
    """Bytes that count for RLIMIT_DATA."""
    return int(_STATM.read_text().split()[_DATA]) * resource.getpagesize()
