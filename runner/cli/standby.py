"""`python -m runner.cli.standby SOCKET`: stand ready beside a server of warm engines to do a command at once.

Every module that an answer wants is in memory here. A command that is handed over (`runner.client.handover`) gets a
fork of this process, which has the streams, the folder and the environment of the one that was typed. Ends with its
standard input. One thread only: a fork with others would have their locks and not them.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import tempfile  # noqa: F401
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from models.errors import ExitCode
from runner.cli import batch, json_session, load, run  # noqa: F401  (and their like: in memory for every fork)
from runner.cli.main import Elsewhere, main
from runner.cli.options import Options, parse
from runner.client import attached  # noqa: F401
from runner.client.handover import ELSEWHERE, SIZE, size_of, unpacked
from runner.client.peer import is_ours
from runner.client.version import ROOT, code_stamp
from runner.report import comparison, contract  # noqa: F401
from runner.storage.paths import paths
from runner.types.codec import learn
from runner.types.generation import Chunk
from runner.types.pipe import Event
from runner.types.warm import Attached, Slow

_BACKLOG = 32
_MOST = 4 << 20  # bytes of a command with its environment
_SLOW_S = 5.0  # for it to come
_STREAMS = ("stdin", "stdout", "stderr")


def stand_by(path: Path) -> None:
    """Until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who mind a command
    stamp = code_stamp()
    get_ready()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        fresh = path.with_suffix(".new-ready")
        fresh.unlink(missing_ok=True)
        door.bind(str(fresh))
        door.listen(_BACKLOG)
        fresh.replace(path)
        try:
            while sys.stdin not in select.select([door, sys.stdin], [], [])[0]:
                connection, _ = door.accept()
                if is_ours(connection) and os.fork() == 0:
                    door.close()
                    _mind(connection, is_same=code_stamp() == stamp)
                connection.close()
        finally:
            path.unlink(missing_ok=True)


def get_ready() -> None:
    """Have in memory what is made once: where files lie, what reads words and answers."""
    paths()
    parse(["model", "-p", "?"], {}, {})
    learn(Attached, Event, Chunk, Slow)


def _mind(connection: socket.socket, *, is_same: bool) -> NoReturn:
    """In a process of its own: do a command in another, pass signals on to that one, and say how it ended."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        connection.settimeout(_SLOW_S)
        _, descriptors, _, _ = socket.recv_fds(connection, 1, len(_STREAMS) + 1)
        with connection.makefile("rb") as said:
            size = size_of(said.read(SIZE))
            asked = unpacked(said.read(size) if size <= _MOST else b"")
        if is_same and (asked["root"], asked["python"]) == (str(ROOT), sys.executable):
            connection.settimeout(None)
            connection.sendall(b"\n")  # from here on it is ours; where nobody hears that, it is not done
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if (child := os.fork()) == 0:
                connection.close()
                _do(asked, descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            threading.Thread(target=_pass_on, args=(connection, child), daemon=True).start()
            os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # its number stays its own while signals come
            connection.sendall(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
    os._exit(0)


def _pass_on(connection: socket.socket, child: int) -> None:
    """Signals, as they come; where whoever typed the command is gone, it is at its end, too."""
    with suppress(OSError):
        while came := connection.recv(1):
            os.kill(child, came[0])
    with suppress(OSError):
        os.kill(child, signal.SIGKILL)


def _do(asked: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """The command, as if it had been started where it was typed."""
    code: object = ExitCode.ENGINE
    try:
        _become(asked, descriptors)
        code = main(asked["argv"], _no_screen, is_warm=True)
    except Elsewhere:
        code = ELSEWHERE
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else ExitCode.ENGINE)


def _become(asked: dict[str, Any], descriptors: list[int]) -> None:
    *streams, folder = descriptors
    os.fchdir(folder)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    os.umask(asked["umask"])
    os.environ.clear()
    os.environ.update(asked["environ"])
    time.tzset()
    sys.argv = ["localrun", *asked["argv"]]
    for number, (name, encoding) in enumerate(zip(_STREAMS, asked["encodings"], strict=True)):
        stream = open(number, "w" if number else "r", encoding=encoding, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    for ignored in asked["ignored"]:
        signal.signal(ignored, signal.SIG_IGN)


def _no_screen(_options: Options) -> ExitCode:
    raise Elsewhere


if __name__ == "__main__":
    stand_by(Path(sys.argv[1]))
