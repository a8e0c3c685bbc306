"""The port that borrowers come to: llama.cpp's RPC is relayed to the backend, questions of localrun are answered."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from models.errors import EngineError, UsageError
from models.visible import one_line
from runner.lending.account import Account
from runner.lending.backend import Backend
from runner.lending.relay import Relay
from runner.types.codec import pack, unpack
from runner.types.lending import LONGEST_NAME, MOST_BYTES, Ask, Offer, Pulse
from runner.types.rpc import Op

_FIRST_WORD_S = 10.0
_SILENCE_S = 60.0  # of somebody who asks questions
_MOST_CONNECTIONS = 32
_CHUNK = 1 << 18
# A borrower whose machine is gone is noticed after so many seconds, and so many more times so many.
_KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


@dataclass(frozen=True, slots=True)
class Answers:
    """What is said of the worker: `offer` who it is, `pulse` how it is; `introduce` hears who asks (address, name)."""

    offer: Callable[[], Offer]
    pulse: Callable[[], Pulse]
    introduce: Callable[[str, str], None]


class Port:
    """Listens from the start. UsageError where that address cannot be had."""

    def __init__(self, host: str, port: int, account: Account, backend: Backend) -> None:
        self._account, self._backend = account, backend
        self._answers: Answers | None = None
        self._seats = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        try:
            self._socket = socket.create_server((host, port), backlog=16)
        except (OSError, OverflowError) as error:
            raise UsageError(f"Nobody can listen at {host}:{port}: {getattr(error, 'strerror', error)}.") from None
        self.port = int(self._socket.getsockname()[1])

    def open(self, answers: Answers) -> None:
        """Let them come."""
        self._answers = answers
        threading.Thread(target=self._accept, name="port", daemon=True).start()

    def close(self) -> None:
        """Nobody comes any more."""
        with suppress(OSError):  # wakes who waits in accept
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                one, (address, *_) = self._socket.accept()
            except OSError:
                return
            if not self._seats.acquire(blocking=False):
                one.close()
                continue
            threading.Thread(target=self._received, args=(one, address), daemon=True).start()

    def _received(self, one: socket.socket, address: str) -> None:
        try:
            with one, suppress(OSError, EngineError, ValueError, TypeError, KeyError):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                one.settimeout(_FIRST_WORD_S)
                first = one.recv(1, socket.MSG_PEEK)
                if first == bytes([Op.HELLO]):
                    self._relay(one, address)
                elif first == b"{":
                    self._converse(one, address)
        finally:
            self._seats.release()

    def _relay(self, one: socket.socket, address: str) -> None:
        one.settimeout(None)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                one.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        use = self._account.open(address)
        try:
            with self._backend.connect() as backend:
                Relay(one, backend, self._account, use).run()
        except (OSError, EngineError):
            if _is_open(one):
                self._account.hung_up()
        finally:
            self._account.close(use)

    def _converse(self, one: socket.socket, address: str) -> None:
        one.settimeout(_SILENCE_S)
        with one.makefile("rb") as lines:
            while line := lines.readline(MOST_BYTES):
                ask = unpack(Ask, json.loads(line))
                if ask.op == "sink":
                    left = ask.bytes
                    while left > 0 and (got := len(lines.read1(min(left, _CHUNK)))):
                        left -= got
                one.sendall(json.dumps(self._answered(ask, address)).encode() + b"\n")

    def _answered(self, ask: Ask, address: str) -> object:
        assert self._answers is not None  # nobody comes before
        if ask.op != "greet":
            return pack(self._answers.pulse())
        if ask.host:
            self._answers.introduce(address, one_line(ask.host, LONGEST_NAME))
        return pack(self._answers.offer())


def _is_open(one: socket.socket) -> bool:
    """Whether the other end is still there."""
    one.setblocking(False)
    try:
        return bool(one.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except OSError:
        return False
