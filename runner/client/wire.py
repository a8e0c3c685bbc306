"""First words with a server of llama.cpp's RPC. Edge: sockets."""

from __future__ import annotations

import socket

from runner.types import rpc
from runner.types.rpc import Version

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port of the loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def hello(server: socket.socket) -> Version:
    """Greet a server of llama.cpp's RPC. OSError where it keeps silent, ValueError for another answer."""
    server.sendall(rpc.HELLO)
    with server.makefile("rb") as said:
        return rpc.version_of(said.read(rpc.HELLO_REPLY_SIZE))
