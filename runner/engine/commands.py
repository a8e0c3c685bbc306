"""The engine process: commands in, events out, one JSON object a line (runner.types.commands has them all).

Requests run side by side; other commands are carried out one after the other, between their steps. A Stop interrupts
its target at once. The end of the command pipe ends the process, so that nothing survives the parent.
Standard output and error belong to llama.cpp and go to the log file.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from models.errors import EngineError, LocalrunError, OutOfMemory
from runner.engine import devices, dry_run, llama, standins
from runner.engine.embedder import Embedder
from runner.engine.events import Asker, Events
from runner.engine.generator import Generator
from runner.types.commands import (
    AddRpc,
    Count,
    Devices,
    Embed,
    Generate,
    Grammar,
    KeepState,
    Lend,
    Load,
    Protocol,
    Rehearse,
    RestoreState,
    Score,
    StandIns,
    Understand,
    Unload,
    command_of,
)
from runner.types.engine import Loaded, LoadProgress
from runner.types.machine import Runtime
from runner.types.pipe import Command, EventKind, LastWords

_PROGRESS_S = 0.05
Line = dict[str, Any]


class Commands:
    """Carries commands out; a second thread listens for Stop and for the parent's end."""

    def __init__(self, commands: int, events: int) -> None:
        self._commands = os.fdopen(commands, "rb")
        self._events = Events(events)
        self._waiting: queue.SimpleQueue[Line] = queue.SimpleQueue()
        self._current = 0
        self._stopped: set[int] = set()
        self._loaded: Generator | Embedder | None = None
        self._operations: dict[type[Command[Any]], Callable[[Any], object]] = {
            Devices: self._devices,
            AddRpc: lambda command: devices.add_rpc(command.endpoint),
            Protocol: lambda _command: standins.protocol(),
            StandIns: lambda command: standins.start(command.count),
            Rehearse: lambda command: dry_run.rehearse(command.path, command.placements),
            Load: self._load,
            Unload: self._unload,
            Count: lambda command: self._generator().count(command),
            KeepState: lambda command: self._generator().keep_state(command),
            RestoreState: lambda command: self._generator().restore_state(command),
            Embed: lambda command: self._tell_all(self._embedder().embed(command)),
            Score: lambda command: self._tell_all(self._embedder().score(command)),
            Grammar: lambda command: llama.grammar_of_schema(command.schema),
            Understand: lambda command: llama.understood(command.gbnf),
            Lend: self._lend,
        }

    def run(self) -> None:
        """Serve until the parent closes the command pipe."""
        threading.Thread(target=self._listen, daemon=True).start()
        llama.start(_log, self._say_last_words)
        while True:
            was_idle = not self._is_answering
            while not self._is_answering or not self._waiting.empty():
                self._carry_out(self._waiting.get())
            if was_idle:
                self._gather()
            else:
                self._step()

    def _gather(self) -> None:
        """Carry out what comes at nearly the same moment as the first request."""
        first = time.monotonic()
        while self._is_answering and (left := first + self._generator().patience_s - time.monotonic()) > 0:
            with suppress(queue.Empty):
                self._carry_out(self._waiting.get(timeout=left))

    @property
    def _is_answering(self) -> bool:
        return isinstance(self._loaded, Generator) and self._loaded.is_busy

    def _carry_out(self, line: Line) -> None:
        self._current = number = line["id"]
        llama.forget_complaints()
        try:
            command = command_of(line)
            if isinstance(command, Generate):  # the steps to come answer it
                asker = Asker(number, self._events, self._stopped.__contains__, self._stopped.discard)
                self._generator().begin(command.request, asker, command.kept)
                return
            self._events.tell(number, EventKind.DONE, self._operations[type(command)](command))
        except Exception as error:
            self._events.fail(number, _as_ours(error))
        self._stopped.discard(number)

    def _step(self) -> None:
        generator = self._generator()
        try:
            generator.step()
        except Exception as error:
            generator.fail(_as_ours(error))

    def _listen(self) -> None:
        for text in self._commands:
            line = json.loads(text)
            if line["op"] == "stop":
                self._stopped.add(line["target"])
            else:
                self._events.tell(line["id"], EventKind.TAKEN)
                self._waiting.put(line)
        os._exit(0)

    def _say_last_words(self, text: str) -> None:
        self._events.tell(self._current, EventKind.ABORT, LastWords(text, llama.complaints()))

    def _devices(self, _command: Devices) -> Runtime:
        real = tuple(device for device in devices.devices() if device.id not in standins.running())
        return Runtime(real, devices.backends(), llama.version(), llama.system_info())

    def _load(self, command: Load) -> Loaded:
        def progress(fraction: float) -> bool:
            if self._events.silent_s > _PROGRESS_S or fraction >= 1:
                self._events.tell(self._current, EventKind.STEP, LoadProgress(fraction))
            return self._current not in self._stopped

        self._unload()
        if command.placement.pooling:
            self._loaded = Embedder(command.path, command.placement, progress, self._is_cancelled)
        else:
            self._loaded = Generator(command.path, command.placement, progress, self._events.pulse)
        return self._loaded.loaded

    def _unload(self, _command: Unload | None = None) -> None:
        if self._loaded:
            self._loaded.close()
        self._loaded = None

    def _lend(self, command: Lend) -> None:
        devices.serve_rpc(command.endpoint, command.devices, command.threads, command.keeps)

    def _generator(self) -> Generator:
        if not isinstance(self._loaded, Generator):
            raise EngineError("The model that is loaded answers nothing." if self._loaded else "No model is loaded.")
        return self._loaded

    def _embedder(self) -> Embedder:
        if not isinstance(self._loaded, Embedder):
            raise EngineError("The model that is loaded only answers." if self._loaded else "No model is loaded.")
        return self._loaded

    def _is_cancelled(self) -> bool:
        """Asked between the steps of a command: the time to say that it goes on."""
        self._events.pulse(self._current)
        return self._current in self._stopped

    def _tell_all(self, steps: Iterable[object]) -> None:
        for step in steps:
            self._events.tell(self._current, EventKind.STEP, step)


def _as_ours(error: Exception) -> LocalrunError:
    if isinstance(error, LocalrunError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemory("The engine ran out of memory.")
    traceback.print_exception(error)
    return EngineError(f"The engine failed: {error!r}.")


def _log(_level: int, line: str) -> None:
    sys.stderr.write(line + "\n")
