"""This machine's CPU lent to itself: devices that take layers as a GPU does."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from models.errors import EngineError
from runner.client.process import EngineProcess
from runner.types.commands import Lend


@contextmanager
def lent(log: Path, count: int) -> Iterator[str]:
    """The endpoint of `count` loopback devices for other processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{probe.getsockname()[1]}"
    with closing(EngineProcess(log)) as lender:

        def lend() -> None:
            with suppress(EngineError):  # it serves until it is ended
                lender.ask(Lend(endpoint, ("CPU",) * count, 1))

        threading.Thread(target=lend, daemon=True).start()
        _wait_for(endpoint)
        yield endpoint


def _wait_for(endpoint: str) -> None:
    host, _, port = endpoint.rpartition(":")
    for _ in range(1000):
        with suppress(OSError), socket.create_connection((host, int(port)), 1):
            return
        time.sleep(0.01)
    raise EngineError("The loopback device did not start.")
