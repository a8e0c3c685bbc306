"""The private door: a Unix socket in a folder that nobody else may enter, and a thread for each client of this user."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from models.errors import EngineError
from runner.api.wire import Wire
from runner.client.peer import is_ours

_BACKLOG = 128


class Door:
    """It listens from now on until `close`; `answer` gets each connection, in a thread of its own."""

    def __init__(self, path: Path, answer: Callable[[Wire], None]) -> None:
        """EngineError where that cannot be. What lies at the path is replaced: it must be nobody's any more."""
        self._path, self._answer = path, answer
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        fresh = path.with_suffix(".new")  # nobody finds a socket that does not listen yet
        try:
            fresh.unlink(missing_ok=True)
            self._socket.bind(str(fresh))
            self._socket.listen(_BACKLOG)
            fresh.replace(path)
        except OSError as error:
            self._socket.close()
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise EngineError(f"{path} cannot be made: {error.strerror or error}.") from None
        threading.Thread(target=self._accept, name="door", daemon=True).start()

    def close(self) -> None:
        """Nobody comes in any more."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except ConnectionError:
                continue
            except OSError:  # closed
                return
            if is_ours(connection):
                threading.Thread(target=self._answer, args=(Wire(connection),), daemon=True).start()
            else:
                connection.close()
