"""Nodes of memory, from folders as the kernel of such a machine fills them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from runner.client.process import EngineProcess
from runner.hardware import cgroup, host, numa
from runner.types.commands import Load
from runner.types.machine import Numa
from runner.types.placement import Placement
from runner.types.units import GIB

# Of a workstation with two Xeons, hyperthreading on: 16 cores and 64 GiB on each, and memory that has no processors.
MEMINFO = """
Node {0} MemTotal:       {1} kB
Node {0} MemFree:        {2} kB
Node {0} MemUsed:        1048576 kB
Node {0} Active(file):    524288 kB
Node {0} Inactive(file): 1048576 kB
Node {0} HugePages_Total:     0
"""
CPUS = ("0-15,32-47", "16-31,48-63", "")
TOTAL = (64, 64, 32)
EVERY = frozenset(range(64))


@pytest.fixture
def two_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    nodes, status = tmp_path / "node", tmp_path / "status"
    for number, (cpus, gib) in enumerate(zip(CPUS, TOTAL, strict=True)):
        (nodes / f"node{number}").mkdir(parents=True)
        (nodes / f"node{number}" / "cpulist").write_text(f"{cpus}\n")
        kib = gib * GIB // 1024
        (nodes / f"node{number}" / "meminfo").write_text(MEMINFO.format(number, kib, kib // 2))
    (nodes / "has_cpu").write_text("0-1\n")
    monkeypatch.setattr(numa, "NODES", nodes)
    monkeypatch.setattr(numa, "STATUS", status)
    monkeypatch.setattr(cgroup, "MOUNT", tmp_path / "none")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=160 * GIB, available=90 * GIB))
    return status


@pytest.mark.parametrize(
    ("allowed", "mask", "strategy", "memory", "said"),
    [
        (
            "0-2",
            EVERY,
            Numa.DISTRIBUTE,
            (160, 90),
            "is in 3 nodes (64.0 GiB and 64.0 GiB and 32.0 GiB): llama.cpp spreads",
        ),
        ("0-2", frozenset(range(40)), Numa.NUMACTL, (160, 90), "is in 3 nodes"),
        (
            "0,1",
            EVERY,
            Numa.DISTRIBUTE,
            (128, 66),
            "leaves 2 of this machine's 3 nodes of memory: 64.0 GiB and 64.0 GiB.",
        ),
        ("1", EVERY, None, (64, 33), "leaves 1 of this machine's 3 nodes of memory: 64.0 GiB."),
        ("", EVERY, Numa.DISTRIBUTE, (160, 90), "is in 3 nodes"),
    ],
)
def test_what_may_be_used_of_several_nodes(
    two_sockets: Path,
    monkeypatch: pytest.MonkeyPatch,
    allowed: str,
    mask: frozenset[int],
    strategy: Numa | None,
    memory: tuple[int, int],
    said: str,
) -> None:
    two_sockets.write_text(f"Name:\tpython\nMems_allowed:\t7\nMems_allowed_list:\t{allowed}\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: mask, raising=False)
    found = host.memory()
    assert (found.total // GIB, found.available // GIB) == memory
    assert numa.strategy() is strategy
    assert [said in note for note in numa.notes()] == [True]


def test_a_machine_of_one_node_has_nothing_to_spread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numa, "NODES", tmp_path)
    assert (numa.nodes(), numa.strategy(), numa.notes()) == ((), None, [])
    assert host.memory().total > 0


def test_an_engine_that_spreads_its_threads_loads(child: EngineProcess, smollm2: Path) -> None:
    """On one node llama.cpp has nothing to do; where there are several it pins."""
    alone = Placement((), 0, 31, (), ctx=256, threads=1)
    for strategy in Numa:
        child.restart()
        assert child.ask(Load(str(smollm2), replace(alone, numa=strategy))).ctx == 256
