"""The engine process: commands in, events out, one JSON object a line (runner.types.commands has them all).

A Stop interrupts its target at once. The end of the command pipe ends the process, so that nothing survives the parent.
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
from collections.abc import Callable
from typing import Any

from models.errors import EngineError, LocalrunError, OutOfMemory
from runner.engine import devices, dry_run, llama, standins
from runner.engine.generator import Generator
from runner.types.codec import pack
from runner.types.commands import (
    AddRpc,
    Count,
    Devices,
    Generate,
    Grammar,
    Lend,
    Load,
    Rehearse,
    StandIns,
    Unload,
    command_of,
)
from runner.types.engine import Loaded, LoadProgress
from runner.types.machine import Runtime
from runner.types.pipe import Command, Event, EventKind, Failure, LastWords

_PROGRESS_S = 0.05
_PULSE_S = 1.0
Line = dict[str, Any]


class Commands:
    """Carries commands out, one after the other; a second thread listens for Stop and for the parent's end."""

    def __init__(self, commands: int, events: int) -> None:
        self._commands = os.fdopen(commands, "rb")
        self._events = os.fdopen(events, "wb", buffering=0)
        self._waiting: queue.SimpleQueue[Line] = queue.SimpleQueue()
        self._current = -1
        self._told = 0.0
        self._stopped: set[int] = set()
        self._loaded: Generator | None = None
        self._operations: dict[type[Command[Any]], Callable[[Any], object]] = {
            Devices: self._devices,
            AddRpc: lambda command: devices.add_rpc(command.endpoint),
            StandIns: lambda command: standins.start(command.count),
            Rehearse: lambda command: dry_run.rehearse(command.path, command.placements),
            Load: self._load,
            Unload: self._unload,
            Count: lambda command: self._generator().count(command),
            Generate: self._generate,
            Grammar: lambda command: llama.grammar_of_schema(command.schema),
            Lend: lambda command: devices.serve_rpc(command.endpoint, command.devices, command.threads),
        }

    def run(self) -> None:
        """Serve until the parent closes the command pipe."""
        threading.Thread(target=self._listen, daemon=True).start()
        llama.start(_log, self._say_last_words)
        while True:
            line = self._waiting.get()
            self._current = line["id"]
            llama.forget_complaints()
            self._answer(line)
            self._stopped.discard(self._current)

    def _answer(self, line: Line) -> None:
        try:
            command = command_of(line)
            self._tell(EventKind.DONE, self._operations[type(command)](command))
        except LocalrunError as error:
            self._tell(EventKind.ERROR, Failure(type(error).__name__, str(error)))
        except MemoryError:
            self._tell(EventKind.ERROR, Failure(OutOfMemory.__name__, "The engine ran out of memory."))
        except Exception as error:
            traceback.print_exc()
            self._tell(EventKind.ERROR, Failure(EngineError.__name__, f"The engine failed: {error!r}."))

    def _listen(self) -> None:
        for text in self._commands:
            line = json.loads(text)
            if line["op"] == "stop":
                self._stopped.add(line["target"])
            else:
                self._waiting.put(line)
        os._exit(0)

    def _is_cancelled(self) -> bool:
        """Asked by all that takes long, between its steps: the time to say that it goes on."""
        if time.monotonic() - self._told > _PULSE_S:
            self._tell(EventKind.PULSE)
        return self._current in self._stopped

    def _tell(self, kind: EventKind, value: object = None) -> None:
        self._told = time.monotonic()
        try:
            self._events.write(json.dumps(pack(Event(self._current, kind, value))).encode() + b"\n")
        except BrokenPipeError:
            os._exit(0)

    def _say_last_words(self, text: str) -> None:
        self._tell(EventKind.ABORT, LastWords(text, llama.complaints()))

    def _devices(self, _command: Devices) -> Runtime:
        real = tuple(device for device in devices.devices() if device.id not in standins.running())
        return Runtime(real, devices.backends(), llama.version(), llama.system_info())

    def _load(self, command: Load) -> Loaded:
        def progress(fraction: float) -> bool:
            if time.monotonic() - self._told > _PROGRESS_S or fraction >= 1:
                self._tell(EventKind.STEP, LoadProgress(fraction))
            return not self._is_cancelled()

        self._unload()
        self._loaded = Generator(command.path, command.placement, progress, self._is_cancelled)
        return self._loaded.loaded

    def _unload(self, _command: Unload | None = None) -> None:
        if self._loaded:
            self._loaded.close()
        self._loaded = None

    def _generator(self) -> Generator:
        if self._loaded is None:
            raise EngineError("No model is loaded.")
        return self._loaded

    def _generate(self, command: Generate) -> None:
        for chunk in self._generator().generate(command.request):
            self._tell(EventKind.STEP, chunk)


def _log(_level: int, line: str) -> None:
    sys.stderr.write(line + "\n")
