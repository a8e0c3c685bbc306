"""The engine ends with its parent, whatever it is busy with."""

import ctypes
import fcntl
import os
import select
import signal

_STDIN = 0


def end_with_parent() -> None:
    """End this process as soon as the pipe on standard input closes; nothing may ever be written to it.

    Neither the interpreter nor a free thread is needed: the kernel signals that the pipe closed (O_ASYNC), and what
    handles the signal is the C library's own `_exit`. Linux can send SIGKILL, which ends a stopped process, too.
    (PR_SET_PDEATHSIG would not do: for it, the end of the thread that started us is the end of the parent.)
    """
    library = ctypes.CDLL(None)
    library.signal.argtypes, library.signal.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    library.signal(signal.SIGIO, ctypes.cast(library._exit, ctypes.c_void_p))
    fcntl.fcntl(_STDIN, fcntl.F_SETOWN, os.getpid())
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(_STDIN, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(_STDIN, fcntl.F_SETFL, fcntl.fcntl(_STDIN, fcntl.F_GETFL) | os.O_ASYNC)
    if _has_closed():
        os._exit(0)


def _has_closed() -> bool:
    """Whether it closed before we asked to be told."""
    poll = select.poll()
    poll.register(_STDIN, 0)
    return any(found & select.POLLHUP for _, found in poll.poll(0))
