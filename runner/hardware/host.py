"""The computer under us: memory, cores, processes. The one module that asks psutil and the cgroup files."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class HostMemory:
    """Host memory in bytes; `limit` is the cgroup's, None without one. `available` honours it."""

    total: int
    available: int
    limit: int | None = None


def memory(cgroup: Path | None = None) -> HostMemory:
    """What this process may use now. `cgroup` is the folder of our control group, found if not given."""
    system = psutil.virtual_memory()
    limits = [pair for folder in _ancestors(cgroup or _own_cgroup()) if (pair := _limit(folder)) is not None]
    if not limits:
        return HostMemory(system.total, system.available)
    limit = min(limit for limit, _ in limits)
    room = min(limit - used for limit, used in limits)
    return HostMemory(
        min(system.total, limit), max(0, min(system.available, room)), limit if limit < system.total else None
    )


def _own_cgroup() -> Path:
    """Our folder under /sys/fs/cgroup (version 2; version 1 keeps memory in a tree of its own)."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "memory":
                return _CGROUP / "memory" / path.lstrip("/")
            if not controllers:
                return _CGROUP / path.lstrip("/")
    return _CGROUP


def _ancestors(folder: Path) -> list[Path]:
    return [level for level in (folder, *folder.parents) if level.is_relative_to(_CGROUP) or level == folder]


def _limit(folder: Path) -> tuple[int, int] | None:
    """(limit, bytes in use that cannot be reclaimed) of one control group; None without a limit."""
    limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
    used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes") or 0
    if limit is None or limit >= 1 << 60:  # version 1 writes "no limit" as a huge number
        return None
    return limit, max(0, used - _reclaimable(folder))


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _reclaimable(folder: Path) -> int:
    """Page cache that the kernel gives back on demand."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    values = dict(line.split(" ", 1) for line in lines if " " in line)
    return int(values.get("inactive_file", values.get("total_inactive_file", 0)))


def cores() -> int:
    """Physical cores that this process may use, at least 1."""
    physical = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    logical = psutil.cpu_count() or physical
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
    # Two logical cores share a physical one where there are more of them.
    share = max(1, allowed * physical // logical) if logical > physical else allowed
    return max(1, min(physical, share, _cpu_quota() or physical))


def _cpu_quota() -> int | None:
    try:
        quota, period = (_own_cgroup() / "cpu.max").read_text().split()
        return max(1, round(int(quota) / int(period)))
    except (OSError, ValueError):
        return None


def cpu_name() -> str:
    """The processor as the system names it; empty if it does not."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def resident_bytes(pid: int) -> int | None:
    """Resident memory of a process; None when it is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None


def cpu_share() -> float:
    """Busy share of all cores since the last call, 0..1."""
    return float(psutil.cpu_percent()) / 100


def load() -> float:
    """Processes that wanted a core over the last minute, on average."""
    return psutil.getloadavg()[0]


def disk_free(folder: Path) -> int:
    """Free bytes where `folder` is or will be."""
    existing = next(level for level in (folder, *folder.parents) if level.exists())
    return int(psutil.disk_usage(str(existing)).free)
