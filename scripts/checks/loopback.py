"""This machine's CPU lent to itself: devices that take layers as a GPU does."""

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from models.errors import EngineError
from runner.client.process import EngineProcess
from runner.client.wire import LOOPBACK, free_port
from runner.types.commands import Lend


@contextmanager
def lent(log: Path, count: int, really: int | None = None) -> Iterator[str]:
    """The endpoint of `count` loopback devices for others; they claim more than the bytes that they `really` have."""
    with lending(log, count, really) as (endpoint, _pid):
        yield endpoint


@contextmanager
def lending(log: Path, count: int, really: int | None = None) -> Iterator[tuple[str, int]]:
    """The same with the process that lends them."""
    endpoint = f"{LOOPBACK}:{free_port()}"
    with closing(EngineProcess(log)) as lender:

        def lend() -> None:
            with suppress(EngineError):  # it serves until it is ended
                lender.ask(Lend(endpoint, ("CPU",) * count, 1))

        threading.Thread(target=lend, daemon=True).start()
        _wait_for(endpoint)
        if really is not None:
            grow_no_more_than(lender.pid, really)
        yield endpoint, lender.pid


def grow_no_more_than(pid: int, size: int) -> None:
    """Limit what a process may address to so many bytes beyond what it does."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + size
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))


def _wait_for(endpoint: str) -> None:
    host, _, port = endpoint.rpartition(":")
    for _ in range(1000):
        with suppress(OSError), socket.create_connection((host, int(port)), 1):
            return
        time.sleep(0.01)
    raise EngineError("The loopback device did not start.")
