"""Memory and cores as control groups and affinity masks limit them, from folders that look like theirs."""

import os
from pathlib import Path

import psutil
import pytest

from runner.hardware import cgroup, host
from runner.types.units import GIB


def group(folder: Path, **files: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")
    return folder


@pytest.mark.parametrize(
    ("files", "limit", "available"),
    [
        ({"memory__max": GIB, "memory__current": GIB // 4}, GIB, GIB * 3 // 4),
        (
            {"memory__max": GIB, "memory__current": GIB, "memory__stat": f"anon 5\ninactive_file {GIB // 2}"},
            GIB,
            GIB // 2,
        ),
        ({"memory__max": GIB, "memory__current": 2 * GIB}, GIB, 0),
        ({"memory__max": GIB}, GIB, GIB),
        ({"memory__max": 2 * GIB, "memory__high": GIB, "memory__current": GIB // 4}, GIB, GIB * 3 // 4),
        ({"memory__max": "max", "memory__high": GIB}, GIB, GIB),
        ({"memory__limit_in_bytes": GIB, "memory__usage_in_bytes": 0}, GIB, GIB),
        (
            {
                "memory__limit_in_bytes": GIB,
                "memory__usage_in_bytes": GIB,
                "memory__stat": f"total_inactive_file {GIB // 8}",
            },
            GIB,
            GIB // 8,
        ),
    ],
)
def test_a_limit_of_the_control_group(tmp_path: Path, files: dict[str, object], limit: int, available: int) -> None:
    found = host.memory(group(tmp_path / "cgroup", **files))
    assert (found.total, found.limit, found.available) == (limit, limit, available)


@pytest.mark.parametrize(
    "files",
    [{}, {"memory__max": "max"}, {"memory__limit_in_bytes": 9223372036854771712}, {"memory__max": "rubbish"}],
)
def test_no_limit(tmp_path: Path, files: dict[str, object]) -> None:
    assert host.memory(group(tmp_path / "cgroup", **files)).limit is None


def test_a_limit_above_the_memory_is_none(tmp_path: Path) -> None:
    found = host.memory(group(tmp_path / "cgroup", memory__max=1 << 50))
    assert found.limit is None and found.total < 1 << 50


# ---- groups within groups


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root of control groups; `/proc/self/cgroup` lies beside it."""
    monkeypatch.setattr(cgroup, "MOUNT", tmp_path / "cgroup")
    monkeypatch.setattr(cgroup, "MEMBERSHIP", tmp_path / "proc")
    return group(tmp_path / "cgroup")


def belongs(tree: Path, *lines: str) -> None:
    (tree.parent / "proc").write_text("".join(f"{line}\n" for line in lines))


def test_the_smallest_limit_of_all_groups_above_counts(tree: Path) -> None:
    belongs(tree, "0::/pod/us")
    group(tree / "pod", memory__max=GIB, memory__current=GIB // 2)
    group(tree / "pod/us", memory__max=4 * GIB, memory__current=GIB // 8)
    found = host.memory()
    assert (found.limit, found.available) == (GIB, GIB // 2)


def test_version_1_keeps_memory_in_a_tree_of_its_own(tree: Path) -> None:
    belongs(tree, "4:memory:/pod/us", "1:cpu,cpuacct:/", "0::/")
    group(tree, memory__max=8)
    group(tree / "memory/pod", memory__limit_in_bytes=GIB, memory__usage_in_bytes=0)
    group(tree / "memory/pod/us", memory__limit_in_bytes=9223372036854771712, memory__usage_in_bytes=0)
    assert host.memory().limit == GIB


def test_a_container_that_sees_its_own_group_as_the_root(tree: Path) -> None:
    belongs(tree, "4:memory:/docker/0123", "1:cpu,cpuacct:/docker/0123")
    group(tree / "memory", memory__limit_in_bytes=GIB)
    group(tree / "cpu", cpu__cfs_quota_us=300_000, cpu__cfs_period_us=100_000)
    assert host.memory().limit == GIB and cgroup.cpus() == 3


V2, V1 = "0::/pod/us", "3:cpu,cpuacct:/pod/us"


@pytest.mark.parametrize(
    ("line", "quotas", "cpus", "cores"),
    [
        (V2, {"pod/us": "400000 100000"}, 4, 4),
        (V2, {"pod/us": "350000 100000"}, 3.5, 3),
        (V2, {"pod/us": "199999 100000"}, 1.99999, 1),
        (V2, {"pod/us": "50000 100000"}, 0.5, 1),
        (V2, {"pod/us": "max 100000", "pod": "200000 100000"}, 2, 2),
        (V2, {"pod/us": "600000 100000", "pod": "250000 100000", "": "800000 100000"}, 2.5, 2),
        (V2, {"pod/us": "100000 400000"}, 0.25, 1),
        (V2, {"pod/us": "3200000 100000"}, 32, 8),
        (V2, {"pod/us": "max 100000"}, None, 8),
        (V2, {"pod/us": "rubbish"}, None, 8),
        (V2, {}, None, 8),
        (V1, {"cpu/pod/us": (400_000, 100_000)}, 4, 4),
        (V1, {"cpu/pod/us": (-1, 100_000), "cpu/pod": (250_000, 100_000)}, 2.5, 2),
        (V1, {"cpu/pod/us": (150_000, 100_000), "cpu/pod": (700_000, 100_000)}, 1.5, 1),
        (V1, {"cpu/pod/us": (-1, 100_000)}, None, 8),
        (V1, {"cpu/pod/us": (100_000, 0)}, None, 8),
        (V1, {"pod/us": "100000 100000"}, None, 8),  # the tree of version 2, where the controller is not
    ],
)
def test_quotas_of_time(
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    quotas: dict[str, str | tuple[int, int]],
    cpus: float | None,
    cores: int,
) -> None:
    belongs(tree, line)
    for folder, quota in quotas.items():
        if isinstance(quota, str):
            group(tree / folder, cpu__max=quota)
        else:
            group(tree / folder, cpu__cfs_quota_us=quota[0], cpu__cfs_period_us=quota[1])
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)
    monkeypatch.setattr(host, "PROCESSORS", tree / "nowhere")
    assert cgroup.cpus() == cpus
    assert host.cores() == cores


# ---- affinity masks


@pytest.mark.parametrize(
    ("mask", "cores"),
    [
        ({0, 1, 2, 3}, 4),  # four threads of four cores
        ({0, 4}, 1),  # two threads of one core
        ({0, 4, 1}, 2),
        ({0, 1, 2, 3, 4, 5, 6, 7}, 4),
        ({7}, 1),
    ],
)
def test_cores_behind_an_affinity_mask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: set[int], cores: int
) -> None:
    for number in range(8):
        folder = group(tmp_path / f"cpu{number}/topology")
        (folder / "thread_siblings_list").write_text(f"{number % 4},{number % 4 + 4}\n")
    monkeypatch.setattr(host, "PROCESSORS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: mask, raising=False)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 8 if logical else 4)
    monkeypatch.setattr(cgroup, "cpus", lambda: None)
    assert host.cores() == cores


def test_a_processor_that_hides_its_threads_counts_as_a_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "PROCESSORS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2}, raising=False)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 16 if logical else 8)
    monkeypatch.setattr(cgroup, "cpus", lambda: None)
    assert host.cores() == 3
