"""The parent's end of the two pipes to an engine process: commands go in, events come out."""

from __future__ import annotations

import json
import select
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

from models import errors
from models.errors import EngineError, LocalrunError
from runner.client.lines import Lines
from runner.client.watch import TICK_S, Limits, Watch, patience
from runner.types.codec import pack, unpack
from runner.types.pipe import Command, Event, EventKind, Failure, LastWords, LongCommand, Stop

Reply = TypeVar("Reply")
Step = TypeVar("Step")

_STOP_S = 0.3  # a person who has pressed Ctrl-C waits no longer for the end of a step


class StillBusy(EngineError):  # noqa: N818
    """The engine was told to stop and has not come to it yet. The next command waits until it has."""


@dataclass(frozen=True, slots=True)
class Fate:
    """How a process ends: `death` says why it is gone, `hung` ends one that did nothing for so many seconds."""

    pid: int
    death: Callable[[LastWords], LocalrunError]
    hung: Callable[[float], EngineError]


class Pipe:
    """One command at a time; `stop` may be called from any thread."""

    def __init__(self, commands: BinaryIO, events: BinaryIO, fate: Fate) -> None:
        self._commands, self._lines, self._fate = commands, Lines(events), fate
        self._last_words = LastWords("")
        self._stopped_at: float | None = None
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

    def stream(self, command: LongCommand[Step, Reply], limits: Limits | None = None) -> Generator[Step, None, Reply]:
        """Send a command, yield its steps, return its reply. Errors come as what they were there.

        `limits` are for the next word, the command's own if not given.
        """
        return self._exchange(command, limits)

    def stop(self) -> None:
        """Interrupt the command under way; it still ends with its own last event, or with StillBusy.

        Also for a signal's handler: while a command is being written, that one sees to it.
        """
        self._stopped_at = time.monotonic()
        if not self._writing.acquire(blocking=False):
            return
        try:
            self._write(0, Stop(self._sent))
        except LocalrunError:
            return  # it is dead already; whoever listens is told so
        finally:
            self._writing.release()

    def _exchange(self, command: Command[Any], limits: Limits | None = None) -> Generator[Any, None, Any]:
        step, reply = command.types()
        with self._asking:
            self._sent = number = self._sent + 1
            self._stopped_at = None
            self._watch = Watch(self._fate.pid, limits or patience(command))
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
                if not finished and self._stopped_at is None:
                    self._abandon(number)

    def _send(self, number: int, command: Command[Any]) -> None:
        with self._writing:
            self._write(number, command)
        if self._stopped_at is not None:
            self.stop()

    def _write(self, number: int, command: Command[Any]) -> None:
        line = memoryview(json.dumps({"id": number, "op": command.op, **pack(command)}).encode() + b"\n")
        try:
            while line:
                line = line[self._commands.write(line) or 0 :]
                if line and not self._has_room():
                    self._look()
        except (OSError, ValueError) as error:
            raise self._fate.death(self._last_words) from error

    def _has_room(self) -> bool:
        poll = select.poll()
        poll.register(self._commands, select.POLLOUT)
        return bool(poll.poll(TICK_S * 1000))

    def _hear(self, number: int) -> Iterator[Event]:
        """Events of one command, in order, the last of them done or error; EngineError when the process ends.

        What is still said about a command before it is passed over.
        """
        while True:
            event = self._next_event()
            if event.event is EventKind.ABORT:
                self._last_words = unpack(LastWords, event.value)
            elif event.id == number and event.event is not EventKind.PULSE:
                yield event
                if event.event is not EventKind.STEP:
                    return

    def _next_event(self) -> Event:
        while (line := self._lines.next(TICK_S)) is None:
            if self._stopped_at is not None and time.monotonic() - self._stopped_at > _STOP_S:
                raise StillBusy("The engine has not stopped yet.")
            self._look()
        if not line:
            raise self._fate.death(self._last_words)
        self._watch.heard()
        return unpack(Event, json.loads(line))

    def _look(self) -> None:
        """After a tick in which the engine neither said nor took anything. EngineHung when those were too many."""
        if (seconds := self._watch.waited_s()) is not None:
            raise self._fate.hung(seconds)

    def _abandon(self, number: int) -> None:
        """The listener left early: stop the command and wait a moment for its end."""
        self.stop()
        try:
            for _event in self._hear(number):
                pass
        except LocalrunError:
            return


def _error(failure: Failure) -> LocalrunError:
    kind = getattr(errors, failure.kind, EngineError)
    return kind(failure.message)
