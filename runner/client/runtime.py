"""The folder of the sockets of warm engines, which nobody else may enter. Edge: disk."""

from __future__ import annotations

import os
from pathlib import Path

from models.errors import EngineError
from runner.client import places

KEEPER = f"keep{places.SERVER}"


def of_server(pid: int) -> str:
    """How the socket of a server is called that has another door as well."""
    return f"serve-{pid}{places.SERVER}"


def sockets() -> list[Path]:
    """Every socket that is there, also of a server that has died."""
    return [*map(Path, places.sockets())]


def standby_of(server: Path) -> Path:
    """Where one stands ready beside the server behind a socket."""
    return server.with_suffix(places.STANDBY)


def made() -> Path:
    """The folder, made where it is missing. EngineError where there can be none, in a sentence."""
    folder = Path(next(places.folders()))
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise EngineError(f"{folder} cannot be made: {error.strerror}.") from None
    if not is_private(folder):
        raise EngineError(f"{folder} is not a folder that only you may enter (mode 0700).")
    if len(os.fsencode(folder)) + places.ROOM > places.LONGEST:
        raise EngineError(f"{folder} is too long a path for a socket; set TMPDIR to a shorter one.")
    return folder


def is_fallback(folder: Path) -> bool:
    """Whether it lies where everybody may write, for want of a runtime folder."""
    return folder.name != places.NAME


def is_private(folder: Path) -> bool:
    """A folder of this user's, no link to one, that no other user may look into."""
    return places.is_private(str(folder))
