"""The parent's end of the child process: start it, ask it, hear it out, and say in one sentence how it died."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from models import errors
from models.errors import EngineError, LocalrunError
from runner.types.codec import pack

_LOG_LIMIT = 4 << 20
Event = dict[str, Any]


class EngineProcess:
    """One engine process. One request at a time; `stop` and `kill` may be called from any thread."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._requests = 0
        self._current = 0
        self._asking = threading.Lock()
        self._writing = threading.Lock()
        self._last_words = ""
        self._prepared: list[tuple[str, dict[str, object]]] = []
        self._process, self._commands, self._events = _spawn(log)

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
        self._last_words = ""
        self._process, self._commands, self._events = _spawn(self._log)
        for op, arguments in self._prepared:
            self.ask(op, **arguments)

    def prepare(self, op: str, **arguments: object) -> Any:
        """Ask now, and again of every process that takes the place of this one: devices that must be added first."""
        value = self.ask(op, **arguments)
        if (op, arguments) not in self._prepared:
            self._prepared.append((op, arguments))
        return value

    def ask(self, op: str, **arguments: object) -> Any:
        """Send a command and return its value; events on the way are dropped."""
        return [value for _event, value in self.stream(op, **arguments)][-1]

    def stream(self, op: str, **arguments: object) -> Iterator[tuple[str, Any]]:
        """Send a command and yield (event, value); the last one is `done`. Errors come as what they were there."""
        with self._asking:
            self._requests += 1
            self._current = number = self._requests
            self._send({"id": number, "op": op, **{key: pack(item) for key, item in arguments.items()}})
            finished = False
            try:
                for event in self._hear(number):
                    finished = event["event"] in ("done", "error")
                    if event["event"] == "error":
                        raise _error(event)
                    yield event["event"], event.get("value")
            finally:
                if not finished:
                    self._abandon(number)

    def stop(self) -> None:
        """Interrupt the request under way; it still ends with its own last event."""
        try:
            self._send({"id": 0, "op": "stop", "target": self._current})
        except EngineError:
            return  # it is dead already; whoever listens is told so

    def close(self, grace_s: float = 1.0) -> None:
        """End the process: the closed pipe asks for it, a kill makes sure."""
        self._commands.close()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._events.close()

    def _send(self, command: Event) -> None:
        with self._writing:
            try:
                self._commands.write(json.dumps(command).encode() + b"\n")
            except (OSError, ValueError) as error:
                raise self._death() from error

    def _hear(self, number: int) -> Iterator[Event]:
        """Events of one request, in order; EngineError when the process ends."""
        while True:
            try:
                line = self._events.readline()
            except ValueError:  # closed under the listener
                line = b""
            if not line.endswith(b"\n"):
                raise self._death()
            event = json.loads(line)
            if event["event"] == "abort":
                self._last_words = event["message"]
            elif event.get("id") == number:
                yield event
                if event["event"] in ("done", "error"):
                    return

    def _abandon(self, number: int) -> None:
        """The listener left early: stop the request and drain what it still says, or end the process."""
        self.stop()
        try:
            for _event in self._hear(number):
                pass
        except EngineError:
            return

    def _death(self) -> EngineError:
        try:
            code = self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return EngineError(f"The engine {_how(code)}{self._because()}. Its log is {self._log}.")

    def _because(self) -> str:
        return f" ({self._last_words})" if self._last_words else ""


def _spawn(log: Path) -> tuple[subprocess.Popen[bytes], BinaryIO, BinaryIO]:
    command_out, command_in = os.pipe()
    event_out, event_in = os.pipe()
    with _open_log(log) as sink:
        # -P: a models.py or runner.py in the user's folder must never be taken for ours.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "runner.engine", str(command_out), str(event_in)],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            pass_fds=(command_out, event_in),
            start_new_session=True,  # Ctrl-C belongs to the parent, which decides what to stop
            env=_environment(),
        )
    os.close(command_out)
    os.close(event_in)
    return process, os.fdopen(command_in, "wb", buffering=0), os.fdopen(event_out, "rb")


def _environment() -> dict[str, str]:
    defaults = {
        "GGML_NO_BACKTRACE": "1",  # ggml would start a debugger on itself
        "GOMP_SPINCOUNT": "1000",  # idle OpenMP threads otherwise fight busy neighbours for the cores
        "PYTHONUNBUFFERED": "1",
    }
    return {**defaults, **os.environ}


def _open_log(path: Path) -> BinaryIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        grown = path.exists() and path.stat().st_size > _LOG_LIMIT
        return path.open("wb" if grown else "ab")
    except OSError:
        return open(os.devnull, "wb")  # noqa: PTH123


def _error(event: Event) -> LocalrunError:
    kind = getattr(errors, event["kind"], EngineError)
    return kind(event["message"])


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    name = signal.Signals(-code).name
    return "was killed, perhaps for want of memory" if name == "SIGKILL" else f"stopped with {name}"
