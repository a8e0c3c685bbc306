"""Causes of slow decoding, made for real: busy neighbours, a quota of processor time, weights that leave memory."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.waiting import COMMAND_S, joined, thread

SPIN = "while True: pass"
READ_MEMORY = "a, b = bytearray(1 << 27), bytearray(1 << 27)\nwhile True: a[:] = b"
_GROUPS = Path("/sys/fs/cgroup/cpu")
_PROCESS_MADVISE, _PIDFD_OPEN, _PAGE_OUT = 440, 434, 21  # system calls, and MADV_PAGEOUT


@contextmanager
def neighbours(code: str, count: int = 1) -> Iterator[list[int]]:
    """Processes that are no children of ours and run this Python code; gives their ids.

    Each has a session of its own, as other people's programs have: Linux shares cores out by sessions first.
    """
    quiet = "stdin=-3, stdout=-3, stderr=-3, start_new_session=True"  # subprocess.DEVNULL
    start = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {code!r}], {quiet}).pid)"
    started = [sys.executable, "-c", start]
    with ExitStack() as ends:
        pids = []
        for _ in range(count):
            done = subprocess.run(started, capture_output=True, text=True, timeout=COMMAND_S, check=True)
            pids.append(int(done.stdout))
            ends.callback(os.kill, pids[-1], signal.SIGKILL)
        yield pids


@contextmanager
def quota(pid: int, cores: float) -> Iterator[None]:
    """A control group that gives a process so much time; OSError where none can be made here."""
    home = _GROUPS / f"localrun-{os.getpid()}"
    home.mkdir()
    try:
        (home / "cpu.cfs_quota_us").write_text(str(round(100_000 * cores)))
        (home / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        (_GROUPS / "cgroup.procs").write_text(str(pid))
        home.rmdir()


class _Range(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


@contextmanager
def cold(pid: int, path: Path) -> Iterator[None]:
    """A file that a process has mapped leaves memory again and again; OSError where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.syscall(_PIDFD_OPEN, pid, 0)
    ranges = [_range(line) for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if str(path) in line]
    ended = threading.Event()

    def page_out() -> int:
        done = 0
        for one in ranges:
            done = int(libc.syscall(_PROCESS_MADVISE, handle, ctypes.byref(one), 1, _PAGE_OUT, 0))
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return done

    def go_on() -> None:
        while not ended.wait(0.05):
            page_out()

    if page_out() < 0:
        raise OSError(ctypes.get_errno(), "weights cannot be paged out")
    going_on = thread(go_on)
    try:
        yield
    finally:
        ended.set()
        joined(going_on)
        os.close(handle)


def _range(line: str) -> _Range:
    start, end = (int(part, 16) for part in line.partition(" ")[0].split("-"))
    return _Range(start, end - start)
