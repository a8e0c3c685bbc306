"""A road to another machine on this one: TCP passed on with a latency and at a bounded rate, and cut when asked to."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CHUNK = 64 << 10


class SlowRoad:
    """Leads to `there` (`host:port`); `at` is where it begins. Seconds there and back, bytes per second each way."""

    def __init__(self, there: str, latency_s: float = 0.0, bandwidth: float | None = None) -> None:
        host, _, port = there.rpartition(":")
        self._there, self._delay, self._bandwidth = (host, int(port)), latency_s / 2, bandwidth
        self._is_open = threading.Event()
        self._is_open.set()
        self._ends: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.at = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Nothing arrives any more, and nobody is told: as when a cable is pulled."""
        self._is_open.clear()

    def close(self) -> None:
        """Nobody begins any more, and who is on it learns that it ends."""
        self._is_open.set()
        for end in (self._server, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                one, _ = self._server.accept()
                other = socket.create_connection(self._there)
                self._ends += (one, other)
                for source, target in ((one, other), (other, one)):
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._pass_on(source, target)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        """One direction: a thread reads, another one writes what it is time for."""
        on_the_way: queue.Queue[tuple[float, bytes]] = queue.Queue(64)

        def read() -> None:
            free = 0.0  # when what was sent before has left
            with suppress(OSError):
                while data := source.recv(_CHUNK):
                    free = max(free, time.monotonic()) + (len(data) / self._bandwidth if self._bandwidth else 0.0)
                    on_the_way.put((free + self._delay, data))
            on_the_way.put((0.0, b""))

        def write() -> None:
            with suppress(OSError):
                while True:
                    due, data = on_the_way.get()
                    self._is_open.wait()
                    time.sleep(max(0.0, due - time.monotonic()))
                    if not data:
                        break
                    target.sendall(data)
            for end in (source, target):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

        for step in (read, write):
            threading.Thread(target=step, daemon=True).start()


@contextmanager
def slow_road(there: str, latency_s: float = 0.0, bandwidth: float | None = None) -> Iterator[SlowRoad]:
    """One that is closed at the end."""
    road = SlowRoad(there, latency_s, bandwidth)
    try:
        yield road
    finally:
        road.close()
