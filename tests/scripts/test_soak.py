"""What a soak counts, and that it would see what it looks for."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from scripts.checks.soak.found import Found, Held, Process, held, orphans, process_held
from tests.support.waiting import COMMAND_S, PATIENCE_S

MB = 1_000_000


def moment(children: int, *processes: tuple[int, int]) -> Held:
    """Children, and of each process descriptors and MB."""
    names = ("parent", "engine", "server")
    return Held(children, {name: Process(one, mb * MB) for name, (one, mb) in zip(names, processes, strict=True)})


QUIET = moment(1, (20, 50), (9, 200), (30, 60))


def test_what_stays_as_it_is_does_not_leak() -> None:
    found = Found(quiet=[QUIET] * 9)
    assert found.is_clean() and ("leaked by parent", "0 descriptors") in found.rows()


@pytest.mark.parametrize(
    ("last", "leaks"),
    [
        (moment(1, (21, 50), (9, 200), (30, 60)), ["descriptors, parent"]),
        (moment(2, (20, 50), (9, 200), (30, 60)), ["children"]),
        (moment(1, (20, 52), (9, 220), (30, 60)), ["memory, engine"]),
        (moment(1, (19, 53), (9, 200), (31, 64)), ["descriptors, server", "memory, parent", "memory, server"]),
    ],
)
def test_what_grows_from_the_first_third_to_the_last_leaks(last: Held, leaks: list[str]) -> None:
    found = Found(quiet=[QUIET] * 6 + [last] * 3)
    assert found.leaks() == leaks and not found.is_clean()


def test_one_fault_is_enough() -> None:
    found = Found(quiet=[QUIET])
    found.fault("lost messages", "x is not what was said.")
    assert not found.is_clean() and ("lost messages", "1") in found.rows()


def test_a_process_whose_parent_is_gone_is_an_orphan(tmp_path: Path) -> None:
    script = "import subprocess as s; print(s.Popen(['cat'], stdout=s.DEVNULL, stderr=s.DEVNULL).pid)"
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    ours, theirs = os.pipe()
    told = subprocess.run(
        [sys.executable, "-c", script], stdin=ours, env=environment, capture_output=True, timeout=COMMAND_S, check=True
    )
    left = psutil.Process(int(told.stdout))
    assert orphans(str(tmp_path)) == [left] and orphans(str(tmp_path / "other")) == []
    os.close(ours)
    os.close(theirs)
    psutil.wait_procs([left], timeout=PATIENCE_S)
    assert orphans(str(tmp_path)) == []


def test_a_descriptor_and_a_child_more_are_seen(tmp_path: Path) -> None:
    before = held({})
    with (tmp_path / "file").open("w"), subprocess.Popen(["sleep", "60"]) as child:
        now = held({"engine": process_held(child.pid)})
        child.kill()
    parent = now.processes["parent"]
    assert (parent.descriptors, now.children) == (before.processes["parent"].descriptors + 1, before.children + 1)
    assert now.processes["engine"].resident < parent.resident
