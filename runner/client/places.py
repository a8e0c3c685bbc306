"""Where the sockets of warm engines lie, as plain text: who hands a command over waits for no pathlib. Edge: disk."""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "localrun"
LONGEST = 100  # bytes of a socket's path: 104 with its end on macOS, 108 on Linux
ROOM = len("/serve-1234567.sock")
SERVER, STANDBY = ".sock", ".ready"
"""How sockets of servers end, and those of who stands ready beside them."""


def folders() -> Iterator[str]:
    """Those that may hold sockets of ours, the best first; the last one lies where everybody may write."""
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    for base in (own if own.startswith("/") else "", f"/run/user/{os.getuid()}"):
        if base and _is_ours(base) and len(os.fsencode(base)) + len(f"/{NAME}") + ROOM <= LONGEST:
            yield f"{base.rstrip('/')}/{NAME}"
    yield f"{os.environ.get('TMPDIR') or '/tmp'}/{NAME}-{os.getuid()}"


def sockets() -> list[str]:
    """Every socket that is there, also of a server that has died."""
    found: dict[str, None] = {}
    for folder in filter(is_private, folders()):
        with os.scandir(folder) as entries:
            found.update(dict.fromkeys(sorted(entry.path for entry in entries if entry.name.endswith(SERVER))))
    return [*found]


def standbys() -> list[str]:
    """Where a process may stand ready beside each of them."""
    return [path.removesuffix(SERVER) + STANDBY for path in sockets()]


def is_private(folder: str) -> bool:
    """A folder of this user's, no link to one, that no other user may look into."""
    return _is_ours(folder) and not stat.S_IMODE(os.lstat(folder).st_mode) & 0o077


def _is_ours(folder: str) -> bool:
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
