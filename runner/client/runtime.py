"""Where the sockets of warm engines lie: a folder that nobody else may enter. Edge: disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from models.errors import EngineError

KEEPER = "keep.sock"
_NAME = "localrun"
_LONGEST = 100  # bytes of a socket's path: 104 with its end on macOS, 108 on Linux
_ROOM = len("/serve-1234567.sock")


def places() -> Iterator[Path]:
    """The folders that may hold sockets of ours, the best first; the last one lies where everybody may write."""
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    for base in (own if os.path.isabs(own) else "", f"/run/user/{os.getuid()}"):  # noqa: PTH117
        if base and _is_ours(Path(base)) and len(os.fsencode(base)) + len(f"/{_NAME}") + _ROOM <= _LONGEST:
            yield Path(base) / _NAME
    yield Path(os.environ.get("TMPDIR") or "/tmp") / f"{_NAME}-{os.getuid()}"


def of_server(pid: int) -> str:
    """How the socket of a server is called that has another door as well."""
    return f"serve-{pid}.sock"


def sockets() -> list[Path]:
    """Every socket that is there, also of a server that has died."""
    found: dict[Path, None] = {}
    for folder in filter(is_private, places()):
        found.update(dict.fromkeys(sorted(folder.glob("*.sock"))))
    return list(found)


def standbys() -> list[Path]:
    """Where a process may stand ready beside each of them."""
    return list(map(standby_of, sockets()))


def standby_of(server: Path) -> Path:
    """Where one stands ready beside the server behind a socket."""
    return server.with_suffix(".ready")


def made() -> Path:
    """The folder, made where it is missing. EngineError where there can be none, in a sentence."""
    *_, folder = (best := list(places())[:1])
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise EngineError(f"{folder} cannot be made: {error.strerror}.") from None
    if not is_private(folder):
        raise EngineError(f"{folder} is not a folder that only you may enter (mode 0700).")
    if len(os.fsencode(best[0])) + _ROOM > _LONGEST:
        raise EngineError(f"{folder} is too long a path for a socket; set TMPDIR to a shorter one.")
    return folder


def is_fallback(folder: Path) -> bool:
    """Whether it lies where everybody may write, for want of a runtime folder."""
    return folder.name != _NAME


def is_private(folder: Path) -> bool:
    """A folder of this user's, no link to one, that no other user may look into."""
    return _is_ours(folder) and not stat.S_IMODE(folder.lstat().st_mode) & 0o077


def _is_ours(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
