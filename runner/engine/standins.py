"""Loopback devices that act for hardware that is not here.

A stand-in gives a rehearsal the device count and the layer split of the other machine; nothing is computed on it.
"""

from __future__ import annotations

import socket
import threading
import time
from functools import cache

from models.errors import EngineError
from runner.engine import devices
from runner.types import rpc
from runner.types.machine import Kind

_START_S = 5.0
_ids: list[str] = []


def start(count: int) -> tuple[str, ...]:
    """Ids of `count` stand-ins; started once and kept."""
    while len(_ids) < count:
        _ids.append(_one_more())
    return tuple(_ids[:count])


def running() -> tuple[str, ...]:
    """Ids of those that run: no hardware of this machine."""
    return tuple(_ids)


@cache
def protocol() -> rpc.Version:
    """The version of RPC that this llama.cpp speaks: only a server says it."""
    host, _, port = _served().rpartition(":")
    with socket.create_connection((host, int(port)), _START_S) as server, server.makefile("rb") as said:
        server.sendall(rpc.HELLO)
        return rpc.version_of(said.read(rpc.HELLO_REPLY_SIZE))


def _served() -> str:
    """The endpoint of one more, which answers."""
    endpoint = f"127.0.0.1:{_free_port()}"
    threading.Thread(target=devices.serve_rpc, args=(endpoint, ["CPU"], 1), daemon=True).start()
    _wait_for(endpoint)
    return endpoint


def _one_more() -> str:
    known = {device.id for device in devices.devices()}
    devices.add_rpc(_served())
    (new,) = (device.id for device in devices.devices() if device.id not in known and device.kind is Kind.RPC)
    return new


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(endpoint: str, seconds: float = _START_S) -> None:
    """Return when the server answers: llama.cpp aborts on a closed port."""
    host, _, port = endpoint.rpartition(":")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            time.sleep(0.005)
        else:
            return
    raise EngineError("The loopback device for the rehearsal did not start.")
