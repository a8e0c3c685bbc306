"""The terminal: its settings are not ours to keep, the program may be stopped in it, and it may go away."""

from __future__ import annotations

import asyncio
import codecs
import os
import select
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from textual._xterm_parser import XTermParser  # as the driver's own thread does; there is no public way
from textual.drivers.linux_driver import LinuxDriver

_LAST_RESORT_S = 8.0  # longer than it takes to put everything away
_LOOK_S, _PIECE = 0.1, 4096
_PASTE_BEGINS, _PASTE_ENDS = "\x1b[200~", "\x1b[201~"
_ESCAPE, _SEEN = "\x1b", "␛"


class Typed:
    """What comes from a terminal, as text that can be taken apart: bytes that are no UTF-8 are \ufffd, and an escape
    within a paste is a picture of one, for Textual would take what is behind it for keys, and carry them out.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._is_paste = False
        self._kept = ""  # of a paste: maybe the beginning of its end

    def text(self, data: bytes) -> str:
        """The next piece."""
        new, parts = self._decoder.decode(data), list[str]()
        while new:
            new, part = self._pasted(new) if self._is_paste else self._keys(new)
            parts.append(part)
        return "".join(parts)

    def _keys(self, new: str) -> tuple[str, str]:
        """What is left after a part that was typed, and that part; told at once, also the half of a mark."""
        whole = self._kept + new
        before, mark, _ = whole.partition(_PASTE_BEGINS)
        end = len(before + mark) - len(self._kept)
        self._is_paste = bool(mark)
        self._kept = "" if mark else _half(whole, _PASTE_BEGINS)
        return new[end:], new[:end]

    def _pasted(self, new: str) -> tuple[str, str]:
        """The same of a paste; the half of a mark waits for the rest."""
        before, mark, left = (self._kept + new).partition(_PASTE_ENDS)
        self._is_paste = not mark
        self._kept = "" if mark else _half(before, _PASTE_ENDS)
        return left, before.removesuffix(self._kept).replace(_ESCAPE, _SEEN) + mark


def _half(text: str, mark: str) -> str:
    """The beginning of a mark that stands at the end of a text; empty where none does."""
    return next((mark[:length] for length in range(len(mark) - 1, 0, -1) if text.endswith(mark[:length])), "")


class StoppableDriver(LinuxDriver):
    """Textual's driver, which also goes on after a SIGSTOP that it could not prepare for.

    Textual starts a second time then, in the midst of a signal: the first start's input thread is forgotten and keeps
    the process alive for ever, and its own settings pass for those that it found. Here the threads of the first start
    end before the second, outside of the signal, and what is typed meanwhile is not thrown away.
    """

    _is_started = False

    def start_application_mode(self) -> None:
        """Take the terminal, or take it again soon."""
        if self._is_started:
            asyncio.get_running_loop().call_soon_threadsafe(self._start_again)
            return
        self._is_started = True
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def stop_application_mode(self) -> None:
        """Give the terminal back."""
        self._is_started = False
        super().stop_application_mode()

    def run_input_thread(self) -> None:
        """As Textual's, which ends the program at a byte that is no UTF-8."""
        parser, typed = XTermParser(self._debug), Typed()
        while not self.exit_event.is_set():
            if select.select([self.fileno], [], [], _LOOK_S)[0]:
                if not (data := os.read(self.fileno, _PIECE)):
                    break  # nobody types any more
                if text := typed.text(data):  # else the half of a character
                    for event in parser.feed(text):
                        self.process_message(event)
            for event in parser.tick():
                self.process_message(event)

    def _start_again(self) -> None:
        if not self._is_started or self._key_thread is None:
            return
        found = self.attrs_before
        self.exit_event.set()
        self._key_thread.join()
        self.exit_event.clear()
        self.close()  # its thread that writes
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self.attrs_before = found


@contextmanager
def unchanged() -> Iterator[None]:
    """Behind the block the settings are those before it, whatever ended it."""
    try:
        before = termios.tcgetattr(sys.stdin)
    except termios.error:  # no terminal
        yield
        return
    _tell_when_it_is_gone()
    try:
        yield
    finally:
        with suppress(termios.error):  # it is gone
            termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


def on_end(end: Callable[[int], object]) -> None:
    """Call `end` with the number of a signal that asks for the end; the process ends in any case soon after that.

    A terminal that takes no more words, or is gone, holds whoever writes to it for ever.
    """

    def asked(number: int, _frame: object) -> None:
        last = threading.Timer(_LAST_RESORT_S, os._exit, (128 + number,))
        last.daemon = True
        last.start()
        end(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, asked)


def _tell_when_it_is_gone() -> None:
    """SIGHUP to this process, also from a terminal that does not control it, and so sends none."""
    hangup = select.poll()
    hangup.register(sys.stdin.fileno(), 0)

    def wait() -> None:
        hangup.poll()
        os.kill(os.getpid(), signal.SIGHUP)

    threading.Thread(target=wait, daemon=True).start()
