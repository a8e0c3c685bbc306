"""A SOCKS5 proxy on the loopback: no password, names and IPv4 addresses (RFC 1928)."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.waiting import PATIENCE_S, joined, thread

_IPV4 = 1


@contextmanager
def socks_proxy() -> Iterator[tuple[int, list[str]]]:
    """Its port, and the `host:port` of every connection that was asked for."""
    asked: list[str] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(PATIENCE_S)
            _, methods = self.request.recv(2)
            self.request.recv(methods)
            self.request.sendall(b"\x05\x00")
            _, _, _, kind = self.request.recv(4)
            size = 4 if kind == _IPV4 else self.request.recv(1)[0]
            raw = self.request.recv(size)
            host = socket.inet_ntoa(raw) if kind == _IPV4 else raw.decode()
            port = int.from_bytes(self.request.recv(2))
            asked.append(f"{host}:{port}")
            with socket.create_connection((host, port), PATIENCE_S) as target:
                self.request.sendall(b"\x05\x00\x00\x01" + bytes(6))
                back = thread(lambda: _pass_on(target, self.request))
                _pass_on(self.request, target)
                joined(back)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], asked
        server.shutdown()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)
