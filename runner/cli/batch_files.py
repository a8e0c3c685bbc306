"""The file of a batch's answers, a line of JSON each: it is added to, and a second run goes on where the first was."""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from models.errors import PromptTooLong, UsageError
from runner.cli.batch_lines import BatchLine

_FAILS_AGAIN = {UsageError.__name__, PromptTooLong.__name__}


class Answers:
    """The file of answers, ours alone while it is open: an answer stands there whole or not at all."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it; half a line, as a kill or a full disk leaves it, is cut off. Raises UsageError."""
        self._path = path
        try:
            self._file = path.open("a+b", buffering=0)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}.") from None
        try:
            self._lock()
            self._file.seek(0)
            content = self._file.read()
            self._end = content.rfind(b"\n") + 1
            self._file.truncate(self._end)
        except (UsageError, OSError):
            self._file.close()
            raise
        self.was_cut = self._end < len(content)
        self._rows = [_row(line) for line in content[: self._end].split(b"\n") if line.strip()]

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"Another localrun is writing {self._path}.") from None
        except OSError:
            return  # a disk that knows no locks

    def left(self, lines: Sequence[BatchLine]) -> list[BatchLine]:
        """The lines that have no answer yet. One that failed is asked again, unless it would fail in the same way."""
        answered = Counter(row.get("asked") for row in self._rows if _is_final(row))
        left = []
        for line in lines:
            if answered[line.asked]:
                answered[line.asked] -= 1
            else:
                left.append(line)
        return left

    def failed(self, lines: Sequence[BatchLine]) -> int:
        """How many of the lines that can be asked have failed, and would again."""
        told = Counter(str(row.get("asked")) for row in self._rows if _is_final(row) and row.get("error"))
        asked = Counter(line.asked for line in lines if line.wrong is None)
        return (told & asked).total()

    def others(self, lines: Sequence[BatchLine]) -> int:
        """How many lines of the file answer none of these."""
        asked = {line.asked for line in lines}
        return sum(row.get("asked") not in asked for row in self._rows)

    def add(self, row: dict[str, Any]) -> None:
        """Write an answer. OSError where it cannot be, and then nothing of it stands there."""
        line = json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file.fileno(), line[written:])
        except OSError:
            with suppress(OSError):
                self._file.truncate(self._end)
            raise
        self._end += len(line)

    def close(self) -> None:
        """Let others have it."""
        self._file.close()


def _row(line: bytes) -> dict[str, Any]:
    """A line of answers; empty for one that is none."""
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def _is_final(row: dict[str, Any]) -> bool:
    error = row.get("error")
    return not isinstance(error, dict) or error.get("kind") in _FAILS_AGAIN
