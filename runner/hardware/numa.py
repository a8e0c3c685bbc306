"""Nodes of memory, each near to some of the processors, and which of them this process may use (Linux).

Folders node0, node1, ... of /sys, as https://docs.kernel.org/admin-guide/mm/numaperf.html says; the nodes that a cpuset
leaves are a line of /proc/self/status (cpuset(7)).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.hardware.pci import read
from runner.types.machine import Numa
from runner.types.units import gib

NODES = Path("/sys/devices/system/node")
STATUS = Path("/proc/self/status")
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Node:
    """Bytes of memory, and the numbers of the processors beside it; `available` is free or can be given up at once."""

    number: int
    processors: frozenset[int]
    total: int
    available: int


def nodes() -> tuple[Node, ...]:
    """All that have memory, in order; none where the system does not say."""
    folders = (path for path in NODES.glob("node*") if path.name.removeprefix("node").isdigit())
    found = map(_node, sorted(folders, key=lambda path: int(path.name.removeprefix("node"))))
    return tuple(node for node in found if node.total)


def usable() -> tuple[Node, ...]:
    """Those whose memory a cpuset leaves us: all where none binds."""
    every = nodes()
    for line in read(STATUS).splitlines():
        if line.startswith("Mems_allowed_list:"):
            allowed = frozenset(_numbers(line.partition(":")[2]))
            return tuple(node for node in every if node.number in allowed) or every
    return every


def strategy() -> Numa | None:
    """How llama.cpp should spread its threads; None where all memory that we may use is as near.

    Its own spreading pins threads to whole nodes, whatever our mask says, so it is for whoever may use all of them.
    """
    near = usable()
    if len(near) < 2 or not hasattr(os, "sched_getaffinity"):
        return None
    mask = os.sched_getaffinity(0)
    every = frozenset().union(*(node.processors for node in nodes()))
    return Numa.DISTRIBUTE if every <= mask else Numa.NUMACTL


def notes() -> list[str]:
    """A sentence where memory is in several nodes, or a cpuset leaves only some of them."""
    every, left = nodes(), usable()
    sizes = " and ".join(gib(node.total) for node in left)
    if len(left) < len(every):
        return [f"A cpuset leaves {len(left)} of this machine's {len(every)} nodes of memory: {sizes}."]
    if len(every) < 2:
        return []
    return [f"The memory of this machine is in {len(every)} nodes ({sizes}): llama.cpp spreads its threads over them."]


def _node(folder: Path) -> Node:
    """Lines are `Node 0 MemTotal:  131072 kB`."""
    words = (line.split() for line in read(folder / "meminfo").splitlines())
    sizes = {row[2].rstrip(":"): int(row[3]) * _KIB for row in words if len(row) > 3 and row[3].isdigit()}
    return Node(
        int(folder.name.removeprefix("node")),
        frozenset(_numbers(read(folder / "cpulist"))),
        sizes.get("MemTotal", 0),
        sizes.get("MemFree", 0) + sizes.get("Inactive(file)", 0),
    )


def _numbers(ranges: str) -> Iterator[int]:
    """Of a list as the kernel writes it: `0-3,8`."""
    for part in filter(None, ranges.strip().split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)
