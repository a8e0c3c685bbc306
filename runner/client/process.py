"""The parent's end of the engine process: start it, ask it, hear it out."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

from models import errors
from models.errors import EngineError, LocalrunError
from runner.client.death import death
from runner.client.spawn import spawn
from runner.types.codec import pack, unpack
from runner.types.commands import Command, LongCommand, Stop, op_of, types_of
from runner.types.engine import Event, EventKind, Failure, LastWords

Reply = TypeVar("Reply")
Step = TypeVar("Step")


class EngineProcess:
    """One engine process. One command at a time; `stop` and `close` may be called from any thread."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._sent = 0
        self._asking = threading.Lock()
        self._writing = threading.Lock()
        self._closed = False
        self._last_words = LastWords("")
        self._prepared: list[Command[Any]] = []
        self._process, self._commands, self._events = spawn(log)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def restart(self) -> None:
        """A fresh process in the place of one that ended, prepared like it."""
        self.close()
        self._closed, self._last_words = False, LastWords("")
        self._process, self._commands, self._events = spawn(self._log)
        for command in self._prepared:
            self.ask(command)

    def prepare(self, command: Command[Reply]) -> Reply:
        """Ask now, and again of every process that takes the place of this one: devices that must be added first."""
        reply = self.ask(command)
        if command not in self._prepared:
            self._prepared.append(command)
        return reply

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

    def close(self, grace_s: float = 1.0) -> None:
        """End the process: the closed pipe asks for it, a kill makes sure."""
        self._closed = True
        self._commands.close()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._events.close()

    def _exchange(self, command: Command[Any]) -> Generator[Any, None, Any]:
        step, reply = types_of(command)
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
        line = json.dumps({"id": number, "op": op_of(command), **pack(command)}).encode() + b"\n"
        with self._writing:
            try:
                self._commands.write(line)
            except (OSError, ValueError) as error:
                raise self._death() from error

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
            raise self._death()
        return unpack(Event, json.loads(line))

    def _abandon(self, number: int) -> None:
        """The listener left early: stop the command and drain what it still says, or end the process."""
        self.stop()
        try:
            for _event in self._hear(number):
                pass
        except EngineError:
            return

    def _death(self) -> EngineError:
        if self._closed:
            return EngineError("The engine was closed.")
        try:
            code = self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return death(code, self._last_words, self._log)


def _error(failure: Failure) -> LocalrunError:
    kind = getattr(errors, failure.kind, EngineError)
    return kind(failure.message)
