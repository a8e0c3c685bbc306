"""llama.cpp's RPC as it is on the wire, as far as somebody in between has to understand it. Pure.

After ggml-rpc.cpp, protocol 7, little endian, packed. A request is a byte for the command, eight for the size of what
follows, and that. Some commands have a reply: eight bytes for its size, and that; nothing else is sent before it came.
"""

from __future__ import annotations

import struct
from enum import IntEnum

HEAD = struct.Struct("<BQ")  # of a request
SIZE = struct.Struct("<Q")  # before a reply
PROTOCOL = 7  # the major version whose requests are understood here
HELLO_SIZE, _VERSION = 24, struct.Struct("<BBBx24s")
ALLOC_REQUEST, ALLOC_REPLY = struct.Struct("<IQ"), struct.Struct("<QQ")  # device, size; buffer (0: none), size
FREE_REQUEST = struct.Struct("<Q")  # buffer
HASH = struct.Struct("<Q")  # the end of SET_TENSOR_HASH; a file of weights that are kept has it as its name
BEFORE_DATA = 296 + 1 + 8  # in SET_TENSOR: the tensor, whether to keep it, where in it the data go
MEMORY_REQUEST, MEMORY_REPLY = struct.Struct("<I"), struct.Struct("<QQ")  # device; free, total

Version = tuple[int, int, int]


class Op(IntEnum):
    """Those that somebody in between reads, or that have a reply."""

    ALLOC_BUFFER = 0
    GET_ALIGNMENT = 1
    GET_MAX_SIZE = 2
    BUFFER_GET_BASE = 3
    FREE_BUFFER = 4
    SET_TENSOR = 6
    SET_TENSOR_HASH = 7
    GET_TENSOR = 8
    COPY_TENSOR = 9
    GET_DEVICE_MEMORY = 11
    GET_ALLOC_SIZE = 13
    HELLO = 14
    DEVICE_COUNT = 15


REPLIED = frozenset(Op) - {Op.FREE_BUFFER, Op.SET_TENSOR}

# Without the capabilities of RDMA, which nobody in between could follow.
HELLO = HEAD.pack(Op.HELLO, HELLO_SIZE) + bytes(HELLO_SIZE)


def hello_reply(version: Version) -> bytes:
    """What a server of this version says to HELLO."""
    return SIZE.pack(_VERSION.size) + _VERSION.pack(*version, bytes(HELLO_SIZE))


HELLO_REPLY_SIZE = len(hello_reply((0, 0, 0)))


def version_of(reply: bytes) -> Version:
    """The version in the answer to HELLO; ValueError where it is no such answer."""
    if len(reply) != HELLO_REPLY_SIZE or SIZE.unpack_from(reply)[0] != _VERSION.size:
        raise ValueError("this is no answer to HELLO")
    major, minor, patch, _capabilities = _VERSION.unpack_from(reply, SIZE.size)
    return major, minor, patch
