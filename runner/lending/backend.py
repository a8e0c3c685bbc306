"""llama.cpp's RPC server in a process of its own, started again whenever it dies. Only this computer reaches it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from models.errors import EngineError
from runner.client.process import EngineProcess
from runner.client.wire import LOOPBACK, free_port, hello
from runner.hardware import host
from runner.types import rpc
from runner.types.commands import Lend
from runner.types.lending import Pulse
from runner.types.rpc import Version

_START_S = 20.0
_SHORT_LIFE_S, _SHORT_LIVES = 5.0, 3  # what dies so soon so often will die again
_TICK_S = 0.02


class Backend:
    """Serves `devices` (ids, in order) from `engine`, which it owns; `keeps`: a folder for weights that were sent.

    `died` hears each end that nobody asked for, as a sentence.
    """

    def __init__(
        self, engine: EngineProcess, devices: tuple[str, ...], keeps: Path | None, died: Callable[[str], None]
    ) -> None:
        self._engine, self._devices, self._keeps, self._died = engine, devices, keeps, died
        self._port = 0
        self._lives = 0  # how often it was started
        self._closed = threading.Event()
        self.failed = threading.Event()  # it dies whenever it is started
        self._thread = threading.Thread(target=self._serve_on, name="backend", daemon=True)

    def start(self) -> Version:
        """Start it; the version of RPC that it speaks. EngineError where that is not ours, or it does not come up."""
        self._thread.start()
        with self.connect() as one:
            version = hello(one)
        if version[0] != rpc.PROTOCOL:
            raise EngineError(f"This llama.cpp speaks version {version[0]} of RPC; localrun knows {rpc.PROTOCOL}.")
        return version

    def connect(self) -> socket.socket:
        """A fresh connection; waits while it is being started. EngineError where that takes too long."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and not self.failed.is_set() and not self._closed.is_set():
            try:
                found = socket.create_connection((LOOPBACK, self._port), 1)
            except OSError:
                time.sleep(_TICK_S)
            else:
                found.settimeout(None)
                found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return found
        raise EngineError("The backend does not start.")

    def pulse(self) -> Pulse:
        """How it is; it does not run where it is gone or was stopped."""
        pid = self._engine.pid
        is_running = self._engine.is_alive() and not host.is_stopped(pid)
        return Pulse(is_running, lives=self._lives, computed_s=host.cpu_seconds(pid) or 0.0)

    def close(self) -> None:
        """End it."""
        self._closed.set()
        self._engine.close()

    def _serve_on(self) -> None:
        short_lives = 0
        while short_lives < _SHORT_LIVES:
            began = time.monotonic()
            reason = self._serve()
            if self._closed.is_set():
                return
            self._died(reason)
            short_lives = short_lives + 1 if time.monotonic() - began < _SHORT_LIFE_S else 0
            self._engine.restart()
        self.failed.set()

    def _serve(self) -> str:
        """One life; why it ended."""
        self._port = free_port()
        self._lives += 1
        keeps = None if self._keeps is None else str(self._keeps)
        try:
            self._engine.ask(Lend(f"{LOOPBACK}:{self._port}", self._devices, host.cores(), keeps))
        except EngineError as error:
            return str(error)
        return "The backend could not listen."
