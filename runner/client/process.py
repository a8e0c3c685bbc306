"""An engine process, from its start to its end."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Generator, Hashable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from models.errors import DeviceLost, EngineError, LocalrunError
from runner.client.spawn import spawn

if TYPE_CHECKING:  # what talks to the process is imported at the first word: the process gets ready meanwhile
    from runner.client.heartbeat import Heartbeats
    from runner.client.mux import Mux
    from runner.client.watch import Limits
    from runner.types.lending import Lender, Pulse
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
        self._lenders: dict[str, Lender] = {}
        self._far: Heartbeats | None = None  # those of all lenders
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
        """Whether the process ended by itself, nobody closed it, or lost a machine that it cannot go on without."""
        return not self._closed and (not self.is_alive() or bool(self._far and self._far.lost()))

    @property
    def lenders(self) -> tuple[Lender, ...]:
        """The machines that lend to it."""
        return tuple(self._lenders.values())

    @property
    def far_pulses(self) -> dict[str, Pulse]:
        """What each of them said last of itself, by endpoint."""
        return self._far.pulses if self._far else {}

    def borrow(self, lender: Lender) -> None:
        """Make a lender's devices ours. Where it goes away later, the engine ends, and the error names it."""
        from runner.client.heartbeat import Heartbeats
        from runner.types.commands import AddRpc

        self.prepare(AddRpc(lender.at))
        self._lenders[lender.at] = lender
        self._far = self._far or Heartbeats()
        self._far.add(lender)

    def restart(self) -> None:
        """A fresh process in the place of one that ended, prepared like it, but for devices that are gone."""
        self.close()
        self._closed, self._mux = False, None
        self._process, self._commands, self._events = spawn(self._log, self._settings)
        for command in self.prepared:
            try:
                self._prepare_again(command)
            except EngineError:
                self._prepared.remove(command)
                self.restart()
                break

    def _prepare_again(self, command: Command[Any]) -> None:
        """Ask what the process before was asked first; a lender is looked for before the engine goes there."""
        from runner.types.commands import AddRpc

        lender = self._lenders.pop(command.endpoint, None) if isinstance(command, AddRpc) else None
        if lender is None:
            self.ask(command)
            return
        from runner.client.far import meet

        self.borrow(meet(lender.endpoint, lender.at, lender.road))

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
        if self._far is not None:
            self._far.close()
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
                fate = Fate(self.pid, self._death, self._hung, self._lost, self._elsewhere, self._road)
                self._mux = Mux(self._commands, self._events, fate)
            return self._mux

    def _elsewhere(self) -> Hashable:
        return tuple(self.far_pulses.values())

    def _road(self) -> Hashable:
        """What it waits in for a machine that says nothing of itself."""
        from runner.client.far import address_of
        from runner.hardware.waits import waits_on

        silent, heard = set[int](), set[int]()
        for lender in self.lenders:
            (heard if lender.offer else silent).add(address_of(lender.at)[1])
        ports = silent - heard  # one at a port of both may be the one that is heard
        return waits_on(self.pid, ports) if ports else None

    def _death(self, words: LastWords) -> LocalrunError:
        from runner.client.death import death
        from runner.hardware import host
        from runner.types.failures import is_of_rpc

        if self._closed:
            return EngineError("The engine was closed.")
        try:
            code = self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        found = death(code, words, self._log, for_ram=host.oom_kills() > self._oom_kills)
        if self._far is not None and isinstance(found, DeviceLost) and is_of_rpc(str(found)):
            return self._named(self._far.blamed(_END_S)) or found
        return found

    def _lost(self) -> EngineError | None:
        """Ends the process where a machine is gone that it has something on."""
        if self._far is None or (error := self._named(self._far.lost())) is None:
            return None
        self._kill()
        return error

    def _named(self, machines: Sequence[tuple[str, str]]) -> EngineError | None:
        from runner.client.death import lost

        return lost(machines, self._log) if machines else None

    def _hung(self, seconds: float) -> EngineError:
        from runner.client.death import hung
        from runner.types.commands import AddRpc

        self._kill()
        endpoints = [command.endpoint for command in self._prepared if isinstance(command, AddRpc)]
        return hung(seconds, endpoints, self._log)
