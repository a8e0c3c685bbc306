"""What an engine has said about one command, for the one thread that listens."""

from __future__ import annotations

import copy
import queue
import time

from models.errors import EngineError, LocalrunError
from runner.client.watch import Limits
from runner.types.pipe import Command, Event, EventKind

_STOP_S = 0.3  # a person who has pressed Ctrl-C waits no longer for the end of a step


class StillBusy(EngineError):  # noqa: N818
    """The engine was told to stop and has not come to it yet. The next command waits until it has."""


class Mailbox:
    """`limits`: how long the engine may be idle or silent while this command is under way; None for ever."""

    def __init__(self, command: Command[object], limits: Limits | None) -> None:
        self.command, self.limits = command, limits
        self.is_stopped = self.is_taken = False
        self._until = 0.0
        self._found: queue.SimpleQueue[Event | LocalrunError | None] = queue.SimpleQueue()

    def hear(self, event: Event) -> None:
        """What is said about the command; that it goes on is nothing to wait for."""
        if event.event is EventKind.TAKEN:
            self.is_taken = True
        elif event.event is not EventKind.PULSE:
            self._found.put(event)

    def end(self, error: LocalrunError) -> None:
        """Why there will be no more."""
        self._found.put(error)

    def stop(self) -> None:
        """Nobody waits for long any more. Also for a signal's handler."""
        self._until = time.monotonic() + _STOP_S
        self.is_stopped = True
        self._found.put(None)

    def next(self) -> Event:
        """Wait for the next event. StillBusy where none comes soon after a stop, or the error that was put in."""
        while True:
            left = max(0.0, self._until - time.monotonic()) if self.is_stopped else None
            try:
                found = self._found.get(timeout=left)
            except queue.Empty:
                raise StillBusy("The engine has not stopped yet.") from None
            if isinstance(found, LocalrunError):
                raise self._mine(found)
            if found is not None:
                return found

    def _mine(self, error: LocalrunError) -> LocalrunError:
        """Others are told the same in their threads."""
        mine = copy.copy(error)
        if isinstance(mine, EngineError):
            mine.came_before = not self.is_taken
        return mine
