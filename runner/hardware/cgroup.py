"""What the control groups around this process allow it, from their files (Linux, versions 1 and 2).

Groups nest, and every group above ours binds too: the smallest counts. Version 2 has one tree
(https://docs.kernel.org/admin-guide/cgroup-v2.html), version 1 one for each controller
(https://docs.kernel.org/scheduler/sched-bwc.html). In a container /proc may name a folder that is not mounted there;
then the root of the mount is the container's own group.
"""

from contextlib import suppress
from pathlib import Path

from runner.hardware.pci import read

MOUNT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
_NO_LIMIT = 1 << 60  # version 1 writes "no limit" as a huge number


def memory(group: Path | None = None) -> list[tuple[int, int]]:
    """(limit, bytes in use that cannot be reclaimed) of every group around us that has a limit, or of `group` alone."""
    folders = [group] if group else _around("memory")
    return [pair for folder in folders if (pair := _memory_limit(folder)) is not None]


def cpus(pid: int | None = None) -> float | None:
    """How many processors' time we, or a process, may use; None without a quota."""
    quotas = (_cpu_quota(folder) for folder in _around("cpu", pid))
    return min((quota for quota in quotas if quota is not None), default=None)


def held_s(pid: int) -> float:
    """Seconds in which a process had to wait because a quota around it was used up, since its group was made."""
    stats = (_pairs(folder / "cpu.stat") for folder in _around("cpu", pid))
    return max((one.get("throttled_usec", 0) / 1e6 + one.get("throttled_time", 0) / 1e9 for one in stats), default=0.0)


def _around(controller: str, pid: int | None = None) -> list[Path]:
    """Our group, or a process's, and all above it: in the controller's own tree (version 1), else in the one tree."""
    tree = folder = MOUNT
    with suppress(OSError, ValueError):
        for line in (MEMBERSHIP if pid is None else Path(f"/proc/{pid}/cgroup")).read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                tree = MOUNT / controller
                folder = tree / path.lstrip("/")
                break
            if not controllers:
                folder = MOUNT / path.lstrip("/")
    return [level for level in (folder, *folder.parents) if level.is_relative_to(tree)]


def _memory_limit(folder: Path) -> tuple[int, int] | None:
    """Beyond memory.high a group is throttled until it is of no use, so it binds like memory.max."""
    found = (_number(folder / name) for name in ("memory.max", "memory.high", "memory.limit_in_bytes"))
    limit = min((size for size in found if size is not None and size < _NO_LIMIT), default=None)
    if limit is None:
        return None
    used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes") or 0
    return limit, max(0, used - _reclaimable(folder))


def _reclaimable(folder: Path) -> int:
    """Page cache that the kernel gives back on demand."""
    values = _pairs(folder / "memory.stat")
    return values.get("inactive_file", values.get("total_inactive_file", 0))


def _cpu_quota(folder: Path) -> float | None:
    """Time over period: `cpu.max` holds both, version 1 has a file for each, and a quota of -1 without a limit."""
    quota, _, period = read(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota, period = (read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _pairs(path: Path) -> dict[str, int]:
    """The numbers of a file whose lines are names with a number each."""
    words = (line.split() for line in read(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2 and pair[1].isdigit()}


def _number(path: Path) -> int | None:
    text = read(path).strip()
    return int(text) if text.isdigit() else None
