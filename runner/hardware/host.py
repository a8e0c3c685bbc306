"""The computer under us: memory, cores, processes. The one module that asks psutil."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from runner.hardware import cgroup, numa, pci
from runner.types.sample import EngineUse, ProcessTime

PROCESSORS = Path("/sys/devices/system/cpu")
_THROTTLED = "cpu*/thermal_throttle/package_throttle_count"
_MAJOR_FAULTS = 9  # of the words behind the name in /proc/PID/stat (proc_pid_stat(5))


@dataclass(frozen=True, slots=True)
class HostMemory:
    """Host memory in bytes; `limit` is the control groups', None without one. `available` honours it."""

    total: int
    available: int
    limit: int | None = None


def memory(group: Path | None = None) -> HostMemory:
    """What this process may use now. `group` is the folder of a control group, all around us if not given."""
    total, available = _on_nodes()
    limits = cgroup.memory(group)
    if not limits:
        return HostMemory(total, available)
    limit = min(limit for limit, _ in limits)
    room = min(limit - used for limit, used in limits)
    return HostMemory(min(total, limit), max(0, min(available, room)), limit if limit < total else None)


def _on_nodes() -> tuple[int, int]:
    """(total, available) of the nodes of memory that a cpuset leaves us: of the whole system, where that is all."""
    system, left = psutil.virtual_memory(), numa.usable()
    if len(left) == len(numa.nodes()):
        return system.total, system.available
    available = sum(node.available for node in left)
    return sum(node.total for node in left), min(system.available, available)


def cores() -> int:
    """Physical cores that this process may use, at least 1: those in its affinity mask, or fewer by a quota of time.

    A fraction is rounded down: a thread that waits for its turn holds up all others.
    """
    physical = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    quota = cgroup.cpus()
    return max(1, min(physical, _in_mask() or physical, physical if quota is None else int(quota)))


def _in_mask(pid: int = 0) -> int | None:
    """Cores behind the processors that we (or a process) may run on; None where there is no mask.

    Two threads of one core are one.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    threads = (PROCESSORS / f"cpu{number}/topology/thread_siblings_list" for number in os.sched_getaffinity(pid))
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
    return _seconds(used)


def is_stopped(pid: int) -> bool:
    """Whether a process was told to stop (SIGSTOP, a debugger) and waits to be told to go on."""
    try:
        return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    except psutil.Error:
        return False


def process_use(pid: int) -> EngineUse | None:
    """What an engine's process has used, and may use; None when it is gone."""
    try:
        process = psutil.Process(pid)
        used = process.cpu_times()
        cores = _in_mask(pid) or psutil.cpu_count(logical=False) or 1
    except (psutil.Error, OSError):
        return None
    disk_read: int | None = None
    with suppress(psutil.Error, AttributeError):  # not on macOS
        disk_read = process.io_counters().read_bytes
    quota = cgroup.cpus(pid)
    return EngineUse(
        cpu_s=_seconds(used),
        cores=cores if quota is None else min(cores, quota),
        disk_read=disk_read,
        major_faults=_major_faults(pid),
        held_s=cgroup.held_s(pid),
    )


def _major_faults(pid: int) -> int | None:
    """Pages that a process had to wait for until a disk gave them; None where the system does not count them."""
    words = pci.read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return int(words[_MAJOR_FAULTS]) if len(words) > _MAJOR_FAULTS else None


def other_processes() -> tuple[ProcessTime, ...]:
    """All processes but this one and what it started, with the processor time that each has used."""
    ours = own_processes()
    found = psutil.process_iter(["name", "cmdline", "cpu_times"])
    return tuple(_timed(one.pid, one.info) for one in found if one.pid not in ours and one.info["cpu_times"])


def _timed(pid: int, info: dict[str, Any]) -> ProcessTime:
    return ProcessTime(pid, _called(info["name"] or "", info["cmdline"] or ()), _seconds(info["cpu_times"]))


def _seconds(times: Any) -> float:
    """Of a processor, for the program and for the system on its behalf."""
    return float(times.user + times.system)


def process_name(pid: int) -> str | None:
    """What a process is called; None when it is gone, or nobody of ours."""
    try:
        process = psutil.Process(pid)
        return _called(process.name(), process.cmdline())
    except psutil.Error:
        return None


def _called(name: str, command: Sequence[str]) -> str:
    return "another localrun" if "runner.engine" in command else name


def own_processes() -> set[int]:
    """The ids of this process and of all that it started."""
    ours = psutil.Process()
    return {ours.pid, *(child.pid for child in ours.children(recursive=True))}


def oom_kills() -> int:
    """Processes that the kernel has killed for want of memory since the system started; 0 where it does not count."""
    return _counted("oom_kill")


def swapped_in() -> int:
    """Bytes read back from swap since the system started; 0 where it does not count."""
    return _counted("pswpin") * resource.getpagesize()


def _counted(event: str) -> int:
    """How often the kernel has counted an event."""
    counters = dict(line.split() for line in pci.read(Path("/proc/vmstat")).splitlines())
    return int(counters.get(event, 0))


def overheated() -> int:
    """How often the processor has slowed down for heat since the system started; 0 where nobody counts."""
    return max(
        (int(text) for path in PROCESSORS.glob(_THROTTLED) if (text := pci.read(path).strip()).isdigit()), default=0
    )


def on_battery() -> bool:
    """Whether this is a computer with a battery, and no plug."""
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return battery is not None and battery.power_plugged is False


def is_wsl() -> bool:
    """Whether this is Linux under Windows, whose driver moves memory of a full GPU to the host."""
    return Path("/dev/dxg").exists()


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
