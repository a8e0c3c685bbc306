"""Who is at the other end of a Unix socket, as the kernel says."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
else:  # what that is made of: the rest takes as long to import as all else of a command that is handed over
    import _socket as socket

_UID = slice(4, 8)  # of struct ucred: pid, uid, gid; and of LOCAL_PEERCRED's struct xucred: version, uid
_XUCRED = (0, 1, 8)  # SOL_LOCAL, LOCAL_PEERCRED, bytes


def is_ours(connection: socket.socket) -> bool:
    """Whether a process of this user's is there."""
    return _uid(connection) == os.getuid()


def _uid(connection: socket.socket) -> int:
    is_linux = hasattr(socket, "SO_PEERCRED")
    said = connection.getsockopt(*((socket.SOL_SOCKET, socket.SO_PEERCRED, 12) if is_linux else _XUCRED))
    return int.from_bytes(said[_UID], sys.byteorder)
