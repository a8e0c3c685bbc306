"""Waits that end: each has a bound, and a test that reaches it says what it saw."""

from __future__ import annotations

import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, AnyStr, Protocol

PATIENCE_S = 60.0
COMMAND_S = 300.0  # for a whole command, however busy the machine is
_PAUSE_S = 0.005


class Worker(Protocol):
    """A thread or a process of Python's."""

    def join(self, timeout: float | None = None) -> None: ...

    def is_alive(self) -> bool: ...


def until(happened: Callable[[], bool], seen: Callable[[], object]) -> None:
    """Ask again and again whether it happened; in the end fail with what is `seen` instead."""
    end = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < end, f"after {PATIENCE_S:.0f} s: {seen()}"
        time.sleep(_PAUSE_S)


def joined(*workers: Worker) -> None:
    """Wait for the end of threads or processes, which do not hold this process if they have none."""
    end = time.monotonic() + PATIENCE_S
    for worker in workers:
        worker.join(max(0.0, end - time.monotonic()))
    assert not any(worker.is_alive() for worker in workers), f"after {PATIENCE_S:.0f} s: {workers}"


def thread(work: Callable[[], object]) -> threading.Thread:
    """A thread that is started, and never keeps this process from ending."""
    started = threading.Thread(target=work, daemon=True)
    started.start()
    return started


def next_line(stream: IO[AnyStr]) -> AnyStr:
    """What comes there up to the end of a line; nothing at the end of all."""
    lines: queue.SimpleQueue[AnyStr] = queue.SimpleQueue()
    thread(lambda: lines.put(stream.readline()))
    try:
        return lines.get(timeout=PATIENCE_S)
    except queue.Empty:
        raise AssertionError(f"no line on {stream} after {PATIENCE_S:.0f} s") from None


def line_of(process: subprocess.Popen[AnyStr], stream: str = "stdout") -> AnyStr:
    """The next line that it writes there; it is killed if none comes."""
    try:
        return next_line(getattr(process, stream))  # type: ignore[no-any-return]
    except AssertionError:
        process.kill()
        raise


@contextmanager
def short_lived(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """It does not outlive the block, whatever happens there."""
    with process:  # closes the pipes, and waits
        try:
            yield process
        finally:
            process.kill()
