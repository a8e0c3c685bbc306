"""The client's end of the server of warm engines: a connection for each command."""

from __future__ import annotations

import json
import socket
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from models.errors import EngineError
from runner.client.peer import is_ours
from runner.client.runtime import KEEPER, standby_of
from runner.types.codec import pack, unpack
from runner.types.pipe import Command, Event, EventKind, Failure, LongCommand, reply_behind

Reply = TypeVar("Reply")
Step = TypeVar("Step")
_SILENT_S = 20.0  # a server says something every second


class Gone(EngineError):  # noqa: N818
    """Nobody is behind a socket any more; nothing was asked."""


class Connection:
    """One command over a socket. `stop` may come from any thread and from a signal's handler."""

    def __init__(self, path: Path) -> None:
        """Connect. Gone where no server of this user's is there."""
        self._is_sent = self._is_stopped = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_SILENT_S)
        try:
            self._socket.connect(str(path))
            if not is_ours(self._socket):
                raise Gone(f"{path} is somebody else's.")
        except OSError as error:
            self.close()
            raise Gone(f"Nobody listens at {path}: {error.strerror}.") from None
        except Gone:
            self.close()
            raise
        self._lines = self._socket.makefile("rb")

    def ask(self, command: Command[Reply]) -> Reply:
        """Send the command and return its reply; steps on the way are dropped. Errors come as what they were there."""
        reply: Reply = reply_behind(self._exchange(command))
        return reply

    def stream(self, command: LongCommand[Step, Reply]) -> Generator[Step, None, Reply]:
        """Send the command, yield its steps, return its reply. Errors come as what they were there."""
        return self._exchange(command)

    def _exchange(self, command: Command[Any]) -> Generator[Any, None, Any]:
        step, reply = command.types()
        self._send(command)
        while True:
            event = self._next()
            if event.event is EventKind.ERROR:
                raise unpack(Failure, event.value).error
            if event.event is EventKind.DONE:
                return unpack(reply, event.value)
            if event.event is EventKind.STEP:
                yield unpack(step, event.value)

    def _send(self, command: Command[Any]) -> None:
        try:
            self._socket.sendall(json.dumps({"op": command.op, **pack(command)}).encode() + b"\n")
        except OSError as error:
            raise Gone(f"The server of the warm engine is gone: {error.strerror or error}.") from None
        self._is_sent = True
        if self._is_stopped:
            self.stop()

    def _next(self) -> Event:
        try:
            line = self._lines.readline()
        except TimeoutError:
            raise EngineError(f"The server of the warm engine has said nothing for {_SILENT_S:.0f} s.") from None
        except (OSError, ValueError):  # closed at either end
            line = b""
        if not line.endswith(b"\n"):
            raise Gone("The server of the warm engine is gone.")
        return unpack(Event, {"id": 0, **json.loads(line)})

    def stop(self) -> None:
        """There is no more to say: the command is stopped, once it is sent."""
        self._is_stopped = True
        if self._is_sent:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Nobody listens any more either."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def told(path: Path, command: Command[Reply]) -> Reply:
    """What the server there replies. Gone, EngineError."""
    connection = Connection(path)
    try:
        return connection.ask(command)
    finally:
        connection.close()


def sweep(folder: Path) -> None:
    """Take away what servers have left in the folder that died; but for the keeper's, which the next one replaces."""
    for path in folder.glob("*.sock"):
        if path.name != KEEPER:
            try:
                Connection(path).close()
            except Gone:
                path.unlink(missing_ok=True)
                standby_of(path).unlink(missing_ok=True)
