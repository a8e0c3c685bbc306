"""Who is at the other end of a Unix socket, as the kernel says."""

from __future__ import annotations

import os
import socket
import struct


def is_ours(connection: socket.socket) -> bool:
    """Whether a process of this user's is there."""
    return _uid(connection) == os.getuid()


def _uid(connection: socket.socket) -> int:
    if hasattr(socket, "SO_PEERCRED"):  # struct ucred: pid, uid, gid
        _pid, uid, _gid = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(uid)
    _version, uid = struct.unpack("II", connection.getsockopt(0, 1, 8))  # LOCAL_PEERCRED's struct xucred
    return int(uid)
