"""`python -m runner.api.keeper FOLDER`: the server that keeps engines warm behind a socket in the folder.

It closes its standard output as soon as it listens, and says there why it cannot. It ends by itself when nothing is
loaded any more, and leaves nothing in the folder.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from models.errors import EngineError, LocalrunError
from runner.api.door import Door
from runner.api.kept import KeptModels
from runner.api.pool import Pool
from runner.api.standby import standing_by
from runner.api.warm import WarmDesk
from runner.client.runtime import KEEPER
from runner.client.socket import Connection, Gone, sweep
from runner.types.wish import Wish

_LOCK = "keep.lock"
_PAUSE_S = 0.02
_ENDING_S = 15.0  # for a server before us to end


def main(folder: Path) -> int:
    """Keep until nothing is left to keep."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda found, _frame: sys.exit(128 + found))
    try:
        with _alone(folder) as is_alone:
            if is_alone:
                _keep(folder)
    except LocalrunError as error:
        print(error, flush=True)
        return 1
    return 0


def _keep(folder: Path) -> None:
    with closing(Pool(Wish(), _log)) as pool:
        kept_models = KeptModels(pool)
        with closing(Door(folder / KEEPER, WarmDesk(kept_models).answer)):
            _close_stdout()
            with standing_by(folder / KEEPER):
                kept_models.wait()


def _close_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _log(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Hold the folder; not where another server has it and listens. EngineError."""
    path, until = folder / _LOCK, time.monotonic() + _ENDING_S
    while (descriptor := _locked(path)) is None:
        if _listens(folder / KEEPER):
            yield False
            return
        if time.monotonic() > until:
            raise EngineError("Another server of warm engines neither listens nor ends.")
        time.sleep(_PAUSE_S)
    try:
        yield True
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        os.close(descriptor)
        with suppress(OSError):
            sweep(folder)
            folder.rmdir()


def _locked(path: Path) -> int | None:
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)  # a server before us may just have removed it
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EngineError(f"{path} cannot be made: {error.strerror}.") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):  # not one that its holder has just removed
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def _listens(path: Path) -> bool:
    try:
        Connection(path).close()
    except Gone:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
