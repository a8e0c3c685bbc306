"""Pass llama.cpp's RPC on between a borrower and the backend, a request and its reply at a time.

The backend tells nobody what it holds, and a CPU says that all of its memory is free: allocations are counted here and
refused beyond what is lent, and answers about memory are corrected.
"""

from __future__ import annotations

import socket

from runner.lending.account import Account, Use
from runner.types import rpc
from runner.types.rpc import HEAD, SIZE, Op

_CHUNK = 1 << 20
_SMALL = 1 << 10  # requests that are read whole: none that matters here is longer


class Cut(OSError):  # noqa: N818
    """One end closed in the midst of a message, or said what cannot be."""


class Relay:
    """A borrower's connection, first byte unread, and a fresh one to the backend; the caller closes both."""

    def __init__(self, borrower: socket.socket, backend: socket.socket, account: Account, use: Use) -> None:
        self._borrower, self._backend, self._account, self._use = borrower, backend, account, use
        self._buffer = memoryview(bytearray(_CHUNK))
        self._asked = ""  # the last weights that a hash asked for

    def run(self) -> None:
        """Until one end closes. Cut and OSError where that was in the midst of something."""
        while head := self._borrower.recv(1):
            head += _exactly(self._borrower, HEAD.size - 1)
            op, size = HEAD.unpack(head)
            self._use.received += HEAD.size + size
            if op == Op.HELLO:
                self._hello(size)
            elif op == Op.ALLOC_BUFFER:
                self._allocate(head, self._body(size, rpc.ALLOC_REQUEST.size))
            elif op == Op.GET_DEVICE_MEMORY:
                self._memory(head, self._body(size, rpc.MEMORY_REQUEST.size))
            elif op == Op.FREE_BUFFER:
                self._free(head, self._body(size, rpc.FREE_REQUEST.size))
            elif op == Op.SET_TENSOR_HASH and rpc.HASH.size <= size <= _SMALL:
                self._look_up(head, self._body(size, size))
            else:
                if op == Op.SET_TENSOR and self._asked:  # the backend had none of it, and keeps it
                    self._use.kept[self._asked], self._asked = size - rpc.BEFORE_DATA, ""
                self._pass_on(head, op, size)

    def _body(self, size: int, expected: int) -> bytes:
        if size != expected:
            raise Cut(f"a request of {size} bytes where {expected} belong")
        return _exactly(self._borrower, size)

    def _hello(self, size: int) -> None:
        """Without the borrower's capabilities: RDMA would go past us."""
        self._body(size, rpc.HELLO_SIZE)
        self._backend.sendall(rpc.HELLO)
        self._answer(_exactly(self._backend, rpc.HELLO_REPLY_SIZE))

    def _allocate(self, head: bytes, body: bytes) -> None:
        device, size = rpc.ALLOC_REQUEST.unpack(body)
        if size > self._account.left(device):
            self._answer(SIZE.pack(rpc.ALLOC_REPLY.size) + rpc.ALLOC_REPLY.pack(0, 0))
            return
        self._backend.sendall(head + body)
        reply = _exactly(self._backend, SIZE.size + rpc.ALLOC_REPLY.size)
        buffer, got = rpc.ALLOC_REPLY.unpack_from(reply, SIZE.size)
        if buffer:
            self._use.buffers[buffer] = device, got
        self._answer(reply)

    def _free(self, head: bytes, body: bytes) -> None:
        self._use.buffers.pop(rpc.FREE_REQUEST.unpack(body)[0], None)
        self._backend.sendall(head + body)

    def _memory(self, head: bytes, body: bytes) -> None:
        self._backend.sendall(head + body)
        reply = _exactly(self._backend, SIZE.size + rpc.MEMORY_REPLY.size)
        free, total = rpc.MEMORY_REPLY.unpack_from(reply, SIZE.size)
        (device,) = rpc.MEMORY_REQUEST.unpack(body)
        left, limits = self._account.left(device), self._account.limits
        most = limits[device] if device < len(limits) else 0
        self._answer(reply[: SIZE.size] + rpc.MEMORY_REPLY.pack(min(free, left), min(total, most)))

    def _look_up(self, head: bytes, body: bytes) -> None:
        """The borrower has a hash of weights that may have been sent before."""
        self._backend.sendall(head + body)
        reply = _exactly(self._backend, SIZE.size + 1)
        name = f"{rpc.HASH.unpack_from(body, len(body) - rpc.HASH.size)[0]:016x}"
        if reply[-1]:
            self._use.found.add(name)
        else:
            self._asked = name
        self._answer(reply)

    def _pass_on(self, head: bytes, op: int, size: int) -> None:
        if size <= _SMALL:
            self._backend.sendall(head + _exactly(self._borrower, size))
        else:
            self._backend.sendall(head)
            self._stream(self._borrower, self._backend, size)
        if op in rpc.REPLIED:
            length = _exactly(self._backend, SIZE.size)
            (size,) = SIZE.unpack(length)
            if size <= _SMALL:
                self._answer(length + _exactly(self._backend, size))
            else:
                self._answer(length)
                self._stream(self._backend, self._borrower, size)
                self._use.sent += size

    def _answer(self, reply: bytes) -> None:
        self._borrower.sendall(reply)
        self._use.sent += len(reply)
        self._use.requests += 1

    def _stream(self, source: socket.socket, target: socket.socket, size: int) -> None:
        while size:
            got = source.recv_into(self._buffer, min(size, _CHUNK))
            if not got:
                raise Cut("closed in the midst of a message")
            target.sendall(self._buffer[:got])
            size -= got


def _exactly(source: socket.socket, size: int) -> bytes:
    """So many bytes; Cut where it closes before."""
    found = b""
    while len(found) < size:
        more = source.recv(size - len(found))
        if not more:
            raise Cut("closed in the midst of a message")
        found += more
    return found
