"""The child's main: commands in, events out, one JSON object a line, over two inherited pipes.

A command is {"id": 7, "op": "load", ...}; its events are {"id": 7, "event": "..."} and end with `done` or `error`.
{"id": 8, "op": "stop", "target": 7} interrupts command 7 at once. The end of the command pipe ends the process, so
that nothing survives the parent. Standard output and error belong to llama.cpp and go to the log file.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from models.errors import EngineError, LocalrunError
from runner.engine import dry_run, llama
from runner.engine.generator import Engine
from runner.types.codec import pack, unpack
from runner.types.engine import LoadProgress
from runner.types.generation import Message, Request
from runner.types.machine import Runtime
from runner.types.plan import Placement

Command = dict[str, Any]


class Child:
    """Dispatches commands to the engine; a second thread listens for `stop` and for the parent's end."""

    def __init__(self, commands: int, events: int) -> None:
        self._commands = os.fdopen(commands, "rb")
        self._events = os.fdopen(events, "wb", buffering=0)
        self._waiting: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._current = -1
        self._stopped: set[int] = set()
        self._engine = Engine(self._is_cancelled)
        self._operations: dict[str, Callable[[Command], object]] = {
            "devices": self._devices,
            "rpc": lambda command: llama.add_rpc(command["endpoint"]),
            "standins": lambda command: dry_run.start_standins(command["count"]),
            "rehearse": self._rehearse,
            "load": self._load,
            "unload": lambda _command: self._engine.close(),
            "count": lambda command: self._engine.count(_messages(command)),
            "generate": self._generate,
            "grammar": lambda command: llama.grammar_of_schema(command["schema"]),
            "lend": lambda command: llama.serve_rpc(command["endpoint"], command["devices"], command["threads"]),
        }

    def run(self) -> None:
        """Serve until the parent closes the command pipe."""
        threading.Thread(target=self._listen, daemon=True).start()
        llama.start(_log, self._say_last_words)
        self._send({"event": "ready", "pid": os.getpid()})
        while True:
            command = self._waiting.get()
            self._current = command["id"]
            self._send({"id": command["id"], **self._answer(command)})
            self._stopped.discard(command["id"])

    def _answer(self, command: Command) -> Command:
        try:
            return {"event": "done", "value": pack(self._operations[command["op"]](command))}
        except LocalrunError as error:
            return {"event": "error", "kind": type(error).__name__, "message": str(error)}
        except Exception as error:
            _log_traceback()
            return {
                "event": "error",
                "kind": EngineError.__name__,
                "message": f"The engine failed: {error!r}.",
            }

    def _listen(self) -> None:
        for line in self._commands:
            command = json.loads(line)
            if command["op"] == "stop":
                self._stopped.add(command["target"])
            else:
                self._waiting.put(command)
        os._exit(0)

    def _is_cancelled(self) -> bool:
        return self._current in self._stopped

    def _send(self, event: Command) -> None:
        try:
            self._events.write(json.dumps(event).encode() + b"\n")
        except BrokenPipeError:
            os._exit(0)

    def _tell(self, event: str, value: object) -> None:
        self._send({"id": self._current, "event": event, "value": pack(value)})

    def _say_last_words(self, text: str) -> None:
        self._send({"id": self._current, "event": "abort", "message": text.strip()})

    def _devices(self, _command: Command) -> object:
        real = tuple(device for device in llama.devices() if device.id not in dry_run.standins())
        return Runtime(real, llama.backends(), llama.version(), llama.system_info())

    def _rehearse(self, command: Command) -> object:
        placements = [unpack(Placement, item) for item in command["placements"]]
        return dry_run.rehearse(command["path"], placements)

    def _load(self, command: Command) -> object:
        told = [0.0]

        def progress(fraction: float) -> bool:
            now = time.monotonic()
            if now - told[0] > 0.05 or fraction >= 1:
                told[0] = now
                self._tell("progress", LoadProgress(fraction))
            return not self._is_cancelled()

        return self._engine.load(command["path"], unpack(Placement, command["placement"]), progress)

    def _generate(self, command: Command) -> None:
        for chunk in self._engine.generate(unpack(Request, command["turn"])):
            self._tell("chunk", chunk)


def _messages(command: Command) -> list[Message]:
    return [unpack(Message, item) for item in command["messages"]]


def _log(_level: int, line: str) -> None:
    sys.stderr.write(line + "\n")


def _log_traceback() -> None:
    import traceback

    traceback.print_exc()


if __name__ == "__main__":
    Child(int(sys.argv[1]), int(sys.argv[2])).run()
