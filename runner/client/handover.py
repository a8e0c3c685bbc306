"""Hand a command over to the process that stands ready beside a warm engine, with all its modules in memory.

That one has this one's streams, folder and environment, and does what it would have done here; this one passes signals
on and ends as it ends.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from types import FrameType

from runner.client.peer import is_ours
from runner.client.runtime import standbys

ELSEWHERE = 99  # a code that no command ends with
GONE = -signal.SIGKILL  # what else should have ended it
_TAKEN_S = 5.0  # until then it is taken, or never
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_ASKS = ("-p", "--prompt")


def handed_over(argv: Sequence[str], root: str) -> int | None:
    """Run a command by the program in `root` there; how it ended, as os.waitstatus_to_exitcode says it.

    None: nobody did, nothing was read or written, and it is to be done here.
    """
    streams = (sys.stdin, sys.stdout, sys.stderr)
    if not any(word.startswith(_ASKS) for word in argv) or None in streams:  # only a prompt is answered there
        return None
    for path in standbys():
        with ExitStack() as stack, suppress(OSError):
            connection = stack.enter_context(closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)))
            connection.connect(str(path))
            if not is_ours(connection):
                continue
            folder = os.open(".", os.O_RDONLY)
            stack.callback(os.close, folder)
            asked = {
                "root": root,
                "python": sys.executable,
                "argv": list(argv),
                "environ": dict(os.environ),
                "umask": _umask(),
                "encodings": [stream.encoding for stream in streams],
                "ignored": [number for number in _PASSED_ON if signal.getsignal(number) is signal.SIG_IGN],
            }
            with _passing_on(connection):
                connection.settimeout(_TAKEN_S)
                socket.send_fds(connection, [b"\n"], [*(stream.fileno() for stream in streams), folder])
                connection.sendall(json.dumps(asked).encode() + b"\n")
                if not connection.recv(1):  # it ends: nothing has begun there
                    continue
                connection.settimeout(None)
                code = int(connection.recv(16) or GONE)
            if code != ELSEWHERE:
                return code
    return None


@contextmanager
def _passing_on(connection: socket.socket) -> Iterator[None]:
    """Signals go there meanwhile, and Ctrl-Z pauses both."""
    before = {number: signal.getsignal(number) for number in (*_PASSED_ON, signal.SIGTSTP)}

    def pass_on(number: int, _frame: FrameType | None = None) -> None:
        with suppress(OSError):
            connection.send(bytes([number]))

    def pause(_number: int, _frame: FrameType | None) -> None:
        pass_on(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        pass_on(signal.SIGCONT)

    for number in _PASSED_ON:
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, pass_on)
    if before[signal.SIGTSTP] is signal.SIG_DFL:
        signal.signal(signal.SIGTSTP, pause)
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)


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
