"""Signals that are heard whenever they come.

Python drops a KeyboardInterrupt that comes in a finalizer or in a callback of its own (importing has some), and while
readline waits for a line it does not look at a signal that came just before.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from types import FrameType

from runner.client.process import EngineProcess
from runner.storage.paths import paths

_AGAIN_S = 1.0  # longer than it takes to put away what was under way
_NOT_HEARD_S = 0.2


def take_interrupts() -> None:
    """From here on Ctrl-C raises KeyboardInterrupt, again and again until `calm`; also one that was held back."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else a shell wants it ignored
        signal.signal(signal.SIGINT, _interrupt)
        signal.signal(signal.SIGALRM, _interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def calm() -> None:
    """The KeyboardInterrupt has come to where it is told."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
    raise KeyboardInterrupt


@contextmanager
def started_engine() -> Iterator[EngineProcess]:
    """An engine that gets ready while this process reads the rest of the program; it ends with the block.

    Its start is not interrupted: nobody would know of it.
    """
    with ExitStack() as stack:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        engine = stack.enter_context(closing(EngineProcess(paths().engine_log)))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        yield engine


@contextmanager
def ending_on(*numbers: signal.Signals) -> Iterator[None]:
    """Within, each of these ends the program in order (SystemExit, 128 and its number), whatever it waits for.

    A second thread hears of a signal as soon as it comes, and sends it again until its handler runs.
    """
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    before = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    for number in numbers:
        signal.signal(number, _end)
    over = threading.Event()

    def repeat() -> None:
        with os.fdopen(told, "rb", buffering=0) as heard:
            while came := heard.read(1):
                while came[0] in numbers and not over.wait(_NOT_HEARD_S):
                    os.kill(os.getpid(), came[0])

    threading.Thread(target=repeat, daemon=True).start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        os.close(tell)


def _end(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)
