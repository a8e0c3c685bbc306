"""Memory as a control group limits it, from folders that look like one."""

from pathlib import Path

import pytest

from runner.hardware import host
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
