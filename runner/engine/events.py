"""What the engine tells: lines of JSON on the event pipe."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable

from models.errors import LocalrunError
from runner.types.codec import pack
from runner.types.generation import Chunk
from runner.types.pipe import Event, EventKind, Failure

_PULSE_S = 1.0


class Events:
    """The pipe to the parent, whose end ends this process. Any thread may tell."""

    def __init__(self, pipe: int) -> None:
        self._pipe = os.fdopen(pipe, "wb", buffering=0)
        self._told = 0.0
        self._telling = threading.Lock()  # longer lines than a pipe's 4096 bytes would mix

    def tell(self, number: int, kind: EventKind, value: object = None) -> None:
        """Something about the command with this number."""
        self._told = time.monotonic()
        line = json.dumps(pack(Event(number, kind, value))).encode() + b"\n"
        try:
            with self._telling:
                self._pipe.write(line)
        except BrokenPipeError:
            os._exit(0)

    def fail(self, number: int, error: LocalrunError) -> None:
        """The command has failed."""
        self.tell(number, EventKind.ERROR, Failure(type(error).__name__, str(error)))

    def pulse(self, number: int = 0) -> None:
        """Called between the steps of all that takes long: say now and then that it goes on."""
        if self.silent_s > _PULSE_S:
            self.tell(number, EventKind.PULSE)

    @property
    def silent_s(self) -> float:
        """Seconds since something was told."""
        return time.monotonic() - self._told


class Asker:
    """Who has sent a Generate. `is_stopped` knows of stops, `forget` is called when the request has ended."""

    def __init__(
        self, number: int, events: Events, is_stopped: Callable[[int], bool], forget: Callable[[int], None]
    ) -> None:
        self._number, self._events, self._is_stopped, self._forget = number, events, is_stopped, forget

    @property
    def is_cancelled(self) -> bool:
        """Whether it was stopped."""
        return self._is_stopped(self._number)

    def tell(self, chunk: Chunk) -> None:
        """A step; behind the one with a finish nothing comes."""
        self._events.tell(self._number, EventKind.STEP, chunk)
        if chunk.finish is not None:
            self._events.tell(self._number, EventKind.DONE)
            self._forget(self._number)

    def fail(self, error: LocalrunError) -> None:
        """There is no more to come."""
        self._events.fail(self._number, error)
        self._forget(self._number)
