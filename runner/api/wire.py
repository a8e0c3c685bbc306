"""The server's end of one connection of the private door: a command comes, its steps and its reply go."""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from models.errors import LocalrunError
from runner.types.codec import pack
from runner.types.pipe import Command, EventKind, Failure
from runner.types.warm import asked_of

_MOST = 64 << 20  # bytes of a command: a conversation that fills a long context
_PULSE_S = 1.0
_SLOW_S = 120.0  # for a client to say what it wants, or to take what it is told


class Wire:
    """Any thread may tell."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(_SLOW_S)
        self._socket = connection
        self._saying = threading.Lock()
        self._is_done = False

    def command(self) -> Command[Any]:
        """What the client asks. ValueError, TypeError or OSError where that cannot be understood."""
        with self._socket.makefile("rb") as lines:
            return asked_of(json.loads(lines.readline(_MOST)))

    def step(self, value: object) -> None:
        """Something on the way. OSError where nobody takes it."""
        self._say(EventKind.STEP, value)

    def done(self, value: object) -> None:
        """The reply."""
        self._is_done = True
        self._say(EventKind.DONE, value)

    def failed(self, error: LocalrunError) -> None:
        """Why there is none, if somebody still listens."""
        with suppress(OSError):
            self._say(EventKind.ERROR, Failure(type(error).__name__, str(error)))

    def watch(self, gone: Callable[[], None] = lambda: None) -> None:
        """Until the reply the client hears that the command goes on; `gone` is called when it has no more to say."""
        threading.Thread(target=self._watch, args=(gone,), name="watch", daemon=True).start()

    def wait(self) -> None:
        """Until the client has no more to say."""
        poll = self._poll()
        while not poll.poll(_PULSE_S * 1000):
            pass

    def close(self) -> None:
        """There is nothing left to tell."""
        self._is_done = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _watch(self, gone: Callable[[], None]) -> None:
        with suppress(OSError, ValueError):  # closed meanwhile
            poll = self._poll()
            while not poll.poll(_PULSE_S * 1000):
                if self._is_done:
                    return
                self._say(EventKind.PULSE, None)
        if not self._is_done:
            gone()

    def _poll(self) -> select.poll:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return poll

    def _say(self, event: EventKind, value: object) -> None:
        line = json.dumps({"event": event.value, "value": pack(value)}).encode() + b"\n"
        with self._saying:
            self._socket.sendall(line)
