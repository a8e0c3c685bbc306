"""Hand a command over to the process that stands ready beside a warm engine, with all its modules in memory.

That one has this one's streams, folder and environment, and does what it would have done here; this one passes signals
on and ends as it ends. Every import here is time that somebody waits: only what Python has in memory anyway.
"""

from __future__ import annotations

import os
import sys

from runner.client.peer import is_ours
from runner.client.places import standbys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Callable, Sequence
    from types import FrameType
    from typing import Any
else:  # what those are made of
    import _signal as signal
    import _socket as socket

ELSEWHERE = 99  # a code that no command ends with
GONE = -signal.SIGKILL  # what else should have ended it
SIZE = 4  # bytes of a length
_TAKEN_S = 5.0  # until then it is taken, or never
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_ASKS = ("-p", "--prompt", "--batch", "--json-session")


def handed_over(argv: Sequence[str], root: str) -> int | None:
    """Run a command by the program in `root` there; how it ended, as os.waitstatus_to_exitcode says it.

    None: nobody did, nothing was read or written, and it is to be done here.
    """
    if None in (sys.stdin, sys.stdout, sys.stderr) or not _has_no_screen(argv):
        return None
    for path in standbys():
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
            code = _done_there(connection, packed(argv, root)) if is_ours(connection) else None
        except OSError:
            continue
        finally:
            connection.close()
        if code not in (None, ELSEWHERE):
            return code
    return None


def _has_no_screen(argv: Sequence[str]) -> bool:
    """A prompt, a batch, a program's questions, or what is asked comes on stdin alone."""
    return any(word.startswith(_ASKS) for word in argv) or not os.isatty(sys.stdin.fileno())


def _done_there(connection: socket.socket, asked: bytes) -> int | None:
    """None where it was not taken."""
    folder = os.open(".", os.O_RDONLY)
    descriptors = [*(stream.fileno() for stream in (sys.stdin, sys.stdout, sys.stderr)), folder]
    rights = b"".join(one.to_bytes(SIZE, sys.byteorder) for one in descriptors)
    end = _passing_on(connection)
    try:
        connection.settimeout(_TAKEN_S)
        connection.sendmsg([b"\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        connection.sendall(len(asked).to_bytes(SIZE, sys.byteorder) + asked)
        if not connection.recv(1):  # it ends: nothing has begun there
            return None
        connection.settimeout(None)
        return int(connection.recv(16) or GONE)
    finally:
        end()
        os.close(folder)


def packed(argv: Sequence[str], root: str) -> bytes:
    """This process's words, and what else a command depends on, for `unpacked`."""
    encodings = ",".join(stream.encoding for stream in (sys.stdin, sys.stdout, sys.stderr))
    ignored = ",".join(str(int(number)) for number in _PASSED_ON if signal.getsignal(number) == signal.SIG_IGN)
    words = (root, sys.executable, str(_umask()), encodings, ignored, str(len(argv)), *argv)
    variables = (b"=".join(pair) for pair in os.environb.items())
    return b"\0".join((*map(os.fsencode, words), *variables))


def unpacked(asked: bytes) -> dict[str, Any]:
    """`root`, `python`, `umask`, `encodings`, `ignored` signals, `argv`, `environ`. ValueError where that is none."""
    root, python, umask, encodings, ignored, count, *rest = map(os.fsdecode, asked.split(b"\0"))
    argv, variables = rest[: int(count)], rest[int(count) :]
    return {
        "root": root,
        "python": python,
        "umask": int(umask),
        "encodings": encodings.split(","),
        "ignored": [int(number) for number in ignored.split(",") if number],
        "argv": argv,
        "environ": dict(variable.split("=", 1) for variable in variables),
    }


def size_of(head: bytes) -> int:
    """How many bytes follow those that come first."""
    return int.from_bytes(head, sys.byteorder)


def _passing_on(connection: socket.socket) -> Callable[[], None]:
    """Signals go there from now on, and Ctrl-Z pauses both; gives what ends that."""
    before = {number: signal.getsignal(number) for number in (*_PASSED_ON, signal.SIGTSTP)}

    def pass_on(number: int, _frame: FrameType | None = None) -> None:
        try:
            connection.send(bytes([number]))
        except OSError:
            return  # nobody is there any more, and soon this process knows it

    def pause(_number: int, _frame: FrameType | None) -> None:
        pass_on(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        pass_on(signal.SIGCONT)

    for number in _PASSED_ON:
        if before[number] != signal.SIG_IGN:
            signal.signal(number, pass_on)
    if before[signal.SIGTSTP] == signal.SIG_DFL:
        signal.signal(signal.SIGTSTP, pause)
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def end() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)

    return end


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def end_as(code: int) -> int:
    """The exit code for an end as `handed_over` tells it; by a signal this process ends, too."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code
