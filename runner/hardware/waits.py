"""Whether a process waits for another computer, as Linux tells of its threads and connections."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterator
from contextlib import suppress
from pathlib import Path

from runner.hardware import host

_SLEPT = "voluntary_ctxt_switches:"
_OTHER_END, _QUEUES, _INODE = 2, 4, 9  # columns of /proc/net/tcp


def waits_on(pid: int, ports: Container[int]) -> Hashable:
    """The calls in which its threads wait for who is behind connections to these ports; None where none does.

    They are equal as long as no thread was woken and no byte was sent or taken.
    """
    calls = list(_calls(Path(f"/proc/{pid}")))
    if not calls or host.is_stopped(pid):
        return None
    connections = _connections(Path(f"/proc/{pid}/net"), ports)
    waits = ((thread, slept, connections.get(socket)) for thread, socket, slept in calls)
    return tuple(wait for wait in waits if wait[-1] is not None) or None


def _calls(process: Path) -> Iterator[tuple[str, str, str]]:
    """(thread, socket, how often it slept) of every thread in a call whose first argument is a socket's descriptor."""
    with suppress(OSError):  # no Linux, or the process is gone
        for task in (process / "task").iterdir():
            with suppress(OSError, ValueError, IndexError):
                descriptor = int((task / "syscall").read_text().split()[1], 16)
                yield task.name, str((process / "fd" / str(descriptor)).readlink()), _slept(task)


def _slept(task: Path) -> str:
    return next(line for line in (task / "status").read_text().splitlines() if line.startswith(_SLEPT))


def _connections(net: Path, ports: Container[int]) -> dict[str, str]:
    """What is on its way over each socket that leads to one of the ports."""
    found: dict[str, str] = {}
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (net / table).read_text().splitlines()[1:]:
                words = line.split()
                if int(words[_OTHER_END].rpartition(":")[2], 16) in ports:
                    found[f"socket:[{words[_INODE]}]"] = words[_QUEUES]
    return found
