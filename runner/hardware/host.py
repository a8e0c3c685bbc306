"""The computer under us: memory, cores, processes. The one module that asks psutil."""

from __future__ import annotations

import os
import platform
import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from runner.hardware import cgroup, pci

PROCESSORS = Path("/sys/devices/system/cpu")


@dataclass(frozen=True, slots=True)
class HostMemory:
    """Host memory in bytes; `limit` is the control groups', None without one. `available` honours it."""

    total: int
    available: int
    limit: int | None = None


def memory(group: Path | None = None) -> HostMemory:
    """What this process may use now. `group` is the folder of a control group, all around us if not given."""
    system = psutil.virtual_memory()
    limits = cgroup.memory(group)
    if not limits:
        return HostMemory(system.total, system.available)
    limit = min(limit for limit, _ in limits)
    room = min(limit - used for limit, used in limits)
    return HostMemory(
        min(system.total, limit), max(0, min(system.available, room)), limit if limit < system.total else None
    )


def cores() -> int:
    """Physical cores that this process may use, at least 1: those in its affinity mask, or fewer by a quota of time.

    A fraction is rounded down: a thread that waits for its turn holds up all others.
    """
    physical = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    quota = cgroup.cpus()
    return max(1, min(physical, _in_mask() or physical, physical if quota is None else int(quota)))


def _in_mask() -> int | None:
    """Cores behind the processors that we may run on (two threads of one are one); None where there is no mask."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    threads = (PROCESSORS / f"cpu{number}/topology/thread_siblings_list" for number in os.sched_getaffinity(0))
    return len({pci.read(path) or path for path in threads})


def cpu_name() -> str:
    """The processor as the system names it; empty if it does not."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def cpu_seconds(pid: int) -> float | None:
    """Processor time that a process has used, in the kernel too; None when it is gone."""
    try:
        used = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return float(used.user + used.system)


def process_name(pid: int) -> str | None:
    """What a process is called; None when it is gone, or nobody of ours."""
    try:
        process = psutil.Process(pid)
        return "another localrun" if "runner.engine" in process.cmdline() else str(process.name())
    except psutil.Error:
        return None


def own_processes() -> set[int]:
    """The ids of this process and of all that it started."""
    ours = psutil.Process()
    return {ours.pid, *(child.pid for child in ours.children(recursive=True))}


def oom_kills() -> int:
    """Processes that the kernel has killed for want of memory since the system started; 0 where it does not count."""
    with suppress(OSError):
        counters = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
        return int(counters.get("oom_kill", 0))
    return 0


def address_limit() -> int | None:
    """Bytes that a process of ours may address in all (`ulimit -v`); None without a limit."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def cpu_share() -> float:
    """Busy share of all cores since the last call, 0..1."""
    return float(psutil.cpu_percent()) / 100


def load() -> float:
    """Processes that wanted a core over the last minute, on average."""
    return psutil.getloadavg()[0]
