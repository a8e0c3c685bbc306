"""Sockets, and the HTTP server on them."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from models.errors import EngineError, UsageError
from runner.api.limits import Limits
from runner.types.address import Address

_GOODBYE_S = 2  # for answers under way to end
_BACKLOG = 512
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def bound(address: Address) -> socket.socket:
    """It listens. UsageError where that is no address of this computer, EngineError where it is taken."""
    try:
        ((family, kind, protocol, _, place), *_) = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        found = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"--listen: {address.host} is no address of this computer ({error.strerror}).") from None
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(place)
        found.listen(_BACKLOG)
    except OSError as error:
        found.close()
        raise EngineError(f"{address.host}:{address.port} cannot be listened on: {error.strerror}.") from None
    return found


class Patient(H11Protocol):
    """Waits `head_s` seconds for the head of a request, and no longer."""

    head_s: ClassVar[float]
    _slow: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """They say something."""
        super().data_received(data)
        is_asked = self.cycle is not None and not self.cycle.response_complete
        if is_asked and self._slow is not None:
            self._slow.cancel()
            self._slow = None
        elif not is_asked and self._slow is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """They have gone."""
        if self._slow is not None:
            self._slow.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._slow = self.loop.call_later(self.head_s, self.transport.close)


class Calm(Server):
    """Ends in order on a signal, and leaves it at that."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Python hears of signals in its main thread alone."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _ENDING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def server(app: Any, limits: Limits) -> Server:
    """A server: `run` it on sockets; a signal or `should_exit` ends it."""
    config = Config(
        app,
        http=type("Bounded", (Patient,), {"head_s": limits.head_s}),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=limits.head,
        timeout_graceful_shutdown=_GOODBYE_S,
    )
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # what clients do wrong is told to them
    return Calm(config)
