"""The parent's end of the two pipes to an engine process: commands go in, events come out."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any, BinaryIO, TypeVar

from models import errors
from models.errors import EngineError, LocalrunError
from runner.types.codec import pack, unpack
from runner.types.pipe import Command, Event, EventKind, Failure, LastWords, LongCommand, Stop

Reply = TypeVar("Reply")
Step = TypeVar("Step")


class Pipe:
    """One command at a time; `stop` may be called from any thread. `death` says why the process is gone."""

    def __init__(self, commands: BinaryIO, events: BinaryIO, death: Callable[[LastWords], EngineError]) -> None:
        self._commands, self._events, self._death = commands, events, death
        self._last_words = LastWords("")
        self._sent = 0
        self._asking = threading.Lock()
        self._writing = threading.Lock()

    def ask(self, command: Command[Reply]) -> Reply:
        """Send a command and return its reply; steps on the way are dropped."""
        steps = self._exchange(command)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]

    def stream(self, command: LongCommand[Step, Reply]) -> Generator[Step, None, Reply]:
        """Send a command, yield its steps, return its reply. Errors come as what they were there."""
        return self._exchange(command)

    def stop(self) -> None:
        """Interrupt the command under way; it still ends with its own last event."""
        try:
            self._send(0, Stop(self._sent))
        except EngineError:
            return  # it is dead already; whoever listens is told so

    def _exchange(self, command: Command[Any]) -> Generator[Any, None, Any]:
        step, reply = command.types()
        with self._asking:
            self._sent = number = self._sent + 1
            self._send(number, command)
            finished = False
            try:
                for event in self._hear(number):
                    finished = event.event is not EventKind.STEP
                    if event.event is EventKind.ERROR:
                        raise _error(unpack(Failure, event.value))
                    if finished:
                        return unpack(reply, event.value)
                    yield unpack(step, event.value)
            finally:
                if not finished:
                    self._abandon(number)

    def _send(self, number: int, command: Command[Any]) -> None:
        line = json.dumps({"id": number, "op": command.op, **pack(command)}).encode() + b"\n"
        with self._writing:
            try:
                self._commands.write(line)
            except (OSError, ValueError) as error:
                raise self._death(self._last_words) from error

    def _hear(self, number: int) -> Iterator[Event]:
        """Events of one command, in order, the last of them done or error; EngineError when the process ends."""
        while True:
            event = self._next_event()
            if event.event is EventKind.ABORT:
                self._last_words = unpack(LastWords, event.value)
            elif event.id == number:
                yield event
                if event.event is not EventKind.STEP:
                    return

    def _next_event(self) -> Event:
        try:
            line = self._events.readline()
        except ValueError:  # closed under the listener
            line = b""
        if not line.endswith(b"\n"):
            raise self._death(self._last_words)
        return unpack(Event, json.loads(line))

    def _abandon(self, number: int) -> None:
        """The listener left early: stop the command and drain what it still says."""
        self.stop()
        try:
            for _event in self._hear(number):
                pass
        except EngineError:
            return


def _error(failure: Failure) -> LocalrunError:
    kind = getattr(errors, failure.kind, EngineError)
    return kind(failure.message)
