"""What people and scripts see: the answer on stdout, everything else on stderr. The only writer of stderr."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from runner.report.table import Table
from runner.report.words import visible

_PROGRESS_S = 0.1  # on a terminal the progress line is redrawn this often
_DIM, _BOLD, _RED, _RESET = "\x1b[2m", "\x1b[1m", "\x1b[31m", "\x1b[0m"


NO_SCREEN = ("dumb", "unknown")  # values of TERM: such a terminal has no places and no colours


class Unwritten(OSError):  # noqa: N818
    """Standard output refuses: a full disk behind it, most likely."""


class Output:
    """Both streams of a command. Escape sequences only where a stream is a terminal that takes them and may get them.

    Terminals of NO_SCREEN take none, NO_COLOR forbids them.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._out = out if out is not None else sys.stdout
        self._err = err if err is not None else sys.stderr
        self.out_is_terminal = _is_terminal(self._out)
        self.err_is_terminal = _is_terminal(self._err)
        self.escapes = not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in NO_SCREEN
        self._progress_at = 0.0
        self._progress_shown = False
        self._thinking = False
        self._in_line = False
        self._noted: set[str] = set()

    def answer(self, text: str) -> None:
        """The model's words, as they come."""
        if not text:
            return
        self._end_thinking()
        self.clear_progress()
        self._write_out(visible(text) if self.out_is_terminal else text, flush=True)
        self._in_line = self.out_is_terminal and not text.endswith("\n")

    def thinking(self, text: str) -> None:
        """The model's thinking: dim on a terminal, nowhere else."""
        if text and self.err_is_terminal:
            self.clear_progress()
            self._write_err(self._styled(visible(text), _DIM))
            self._thinking = True

    def line(self, text: str = "") -> None:
        """A line of a command's result."""
        self._write_out((visible(text) if self.out_is_terminal else text) + "\n")

    def json(self, value: Any) -> None:
        """A result for programs, in one line on a pipe."""
        indent = 2 if self.out_is_terminal else None
        self._write_out(json.dumps(value, indent=indent, ensure_ascii=self.out_is_terminal) + "\n", flush=True)

    def lines(self, texts: Iterable[str]) -> None:
        """Lines of a command's result."""
        for text in texts:
            self.line(text)

    def table(self, table: Table) -> None:
        """A table; its head is bold on a terminal."""
        head_is_bold = any(table.head) and self.out_is_terminal and self.escapes
        for number, line in enumerate(table.lines()):
            is_bold = head_is_bold and number == 0
            self._write_out((f"{_BOLD}{visible(line)}{_RESET}" if is_bold else visible(line)) + "\n")

    def note_once(self, sentence: str) -> None:
        """Something worth knowing that every turn would say again."""
        if sentence not in self._noted:
            self._noted.add(sentence)
            self.note(sentence)

    def note(self, sentence: str) -> None:
        """Something worth knowing."""
        self.clear_progress()
        self._end_thinking()
        self._write_err(self._styled(_sentence(sentence), _DIM) + "\n")

    def warn(self, sentence: str) -> None:
        """Something that should be known; on a terminal it never goes on with the answer's line."""
        self.clear_progress()
        self._end_thinking()
        if self._in_line and self.err_is_terminal:
            self._write_err("\n")
        self._write_err(_sentence(sentence) + "\n")

    def error(self, sentence: str) -> None:
        """Why the command fails."""
        self.clear_progress()
        self._end_thinking()
        self._write_err(f"{self._styled('localrun:', _RED)} {_sentence(sentence)}\n")

    def progress(self, text: str, *, final: bool = False) -> None:
        """What is going on: one line redrawn on a terminal, only the `final` one where nothing can be redrawn."""
        if not (self.err_is_terminal and self.escapes):
            if final:
                self._write_err(_sentence(text) + "\n")
            return
        now = time.monotonic()
        if not final and now - self._progress_at < _PROGRESS_S:
            return
        self._progress_at, self._progress_shown = now, not final
        self._write_err(f"\r\x1b[2K{_sentence(text)}" + ("\n" if final else ""))

    def clear_progress(self) -> None:
        """Take the progress line off the terminal."""
        if self._progress_shown:
            self._progress_shown = False
            self._write_err("\r\x1b[2K")

    def ask(self, question: str) -> bool:
        """A yes-or-no question on the terminal; Enter is yes."""
        self.clear_progress()
        self._write_err(f"{_sentence(question)} [Y/n] ")
        return sys.stdin.readline().strip().lower() in ("", "y", "yes")

    def choose(self, ways: Sequence[str]) -> int | None:
        """One of a few ways, by its number on the terminal; None where it is none of them."""
        self.clear_progress()
        for number, way in enumerate(ways, 1):
            self._write_err(f"  {number}  {_sentence(way)}\n")
        self._write_err(f"Which? 1{f' to {len(ways)}' if ways[1:] else ''}, or Enter for none: ")
        said = sys.stdin.readline().strip()
        return int(said) - 1 if said.isdecimal() and 1 <= int(said) <= len(ways) else None

    def _end_thinking(self) -> None:
        if self._thinking:
            self._thinking = False
            self._write_err("\n")

    def _styled(self, text: str, style: str) -> str:
        return f"{style}{text}{_RESET}" if self.err_is_terminal and self.escapes else text

    def end(self) -> None:
        """Everything is with whoever reads. BrokenPipeError where nobody does, Unwritten where it cannot be."""
        self._write_out("", flush=True)

    def _write_out(self, text: str, *, flush: bool = False) -> None:
        try:
            self._out.write(text)
            if flush:
                self._out.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise Unwritten(error.errno, error.strerror) from error

    def _write_err(self, text: str) -> None:
        try:
            self._err.write(text)
            self._err.flush()
        except (OSError, ValueError):
            return  # nobody listens there any more: the answer still counts


def _sentence(text: str) -> str:
    """A line of ours, whatever foreign names it quotes: a line end in one begins no line that looks like ours."""
    return visible(text).replace("\n", "␊")


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:
        return False
