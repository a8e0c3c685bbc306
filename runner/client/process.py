"""An engine process, from its start to its end."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from models.errors import EngineError, LocalrunError
from runner.client.spawn import spawn

if TYPE_CHECKING:  # what talks to the process is imported at the first word: the process gets ready meanwhile
    from runner.client.mux import Mux
    from runner.client.watch import Limits
    from runner.types.pipe import Command, LastWords, LongCommand

Reply = TypeVar("Reply")
Step = TypeVar("Step")

_END_S = 5.0


class EngineProcess:
    """One engine process. Commands, `stop` and `close` may come from any thread, also side by side."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._closed = False
        self._prepared: list[Command[Any]] = []
        self._settings: dict[str, str] = {}
        self._mux: Mux | None = None
        self._opening = threading.Lock()
        self._oom_kills = 0  # of the whole system, before the last command
        self._process, self._commands, self._events = spawn(log)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def prepared(self) -> tuple[Command[Any], ...]:
        """What every process in this place was asked first."""
        return tuple(self._prepared)

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def has_died(self) -> bool:
        """Whether the process ended by itself: nobody closed it."""
        return not self._closed and not self.is_alive()

    def restart(self) -> None:
        """A fresh process in the place of one that ended, prepared like it, but for devices that are gone."""
        self.close()
        self._closed, self._mux = False, None
        self._process, self._commands, self._events = spawn(self._log, self._settings)
        for command in self.prepared:
            try:
                self.ask(command)
            except EngineError:
                self._prepared.remove(command)
                self.restart()
                break

    def need(self, settings: dict[str, str]) -> None:
        """Run with these settings of the environment: backends read them once, so others take a fresh process."""
        if settings != self._settings:
            self._settings = settings
            self.restart()

    def prepare(self, command: Command[Reply]) -> Reply:
        """Ask now, and again of every process that takes the place of this one: devices that must be added first."""
        reply = self.ask(command)
        if command not in self._prepared:
            self._prepared.append(command)
        return reply

    def ask(self, command: Command[Reply]) -> Reply:
        """Send a command and return its reply; steps on the way are dropped. Errors come as what they were there."""
        return self._opened().ask(command)

    def stream(self, command: LongCommand[Step, Reply], limits: Limits | None = None) -> Generator[Step, None, Reply]:
        """Send a command, yield its steps, return its reply. Errors come as what they were there.

        `limits` bound the wait for each word of it; without them the command's own do.
        """
        return self._opened().stream(command, limits)

    def stop(self, command: Command[Any] | None = None) -> None:
        """Interrupt this very command, or all under way; one still ends with its own last event, or with StillBusy."""
        if self._mux is not None:
            self._mux.stop(command)

    def close(self) -> None:
        """End the process: it keeps nothing that it would have to put away."""
        self._closed = True
        self._kill()
        for stream in (self._process.stdin, self._commands, self._events):
            if stream is not None:
                stream.close()

    def _kill(self) -> None:
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):  # what waits for a dead disk ends with that
            self._process.wait(_END_S)

    def _opened(self) -> Mux:
        from runner.client.mux import Fate, Mux
        from runner.hardware import host

        self._oom_kills = host.oom_kills()
        with self._opening:
            if self._mux is None:
                self._mux = Mux(self._commands, self._events, Fate(self.pid, self._death, self._hung))
            return self._mux

    def _death(self, words: LastWords) -> LocalrunError:
        from runner.client.death import death
        from runner.hardware import host

        if self._closed:
            return EngineError("The engine was closed.")
        try:
            code = self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return death(code, words, self._log, for_ram=host.oom_kills() > self._oom_kills)

    def _hung(self, seconds: float) -> EngineError:
        from runner.client.death import hung
        from runner.types.commands import AddRpc

        self._kill()
        endpoints = [command.endpoint for command in self._prepared if isinstance(command, AddRpc)]
        return hung(seconds, endpoints, self._log)
