"""What a soak counts, and that it would see what it looks for."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from scripts.checks.soak.found import Found, Held, held, orphans
from tests.support.waiting import COMMAND_S

QUIET = Held(descriptors=20, children=1, own=50_000_000, engine=200_000_000)


def test_what_stays_as_it_is_does_not_leak() -> None:
    found = Found(quiet=[QUIET] * 9)
    assert found.is_clean() and ("leaked descriptors", "0") in found.rows()


@pytest.mark.parametrize(
    ("last", "leaks"),
    [
        (Held(21, 1, 50_000_000, 200_000_000), ["descriptors"]),
        (Held(20, 2, 50_000_000, 200_000_000), ["children"]),
        (Held(20, 1, 52_000_000, 220_000_000), ["engine"]),
        (Held(19, 1, 53_000_000, 200_000_000), ["own"]),
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
    psutil.wait_procs([left], timeout=10)
    assert orphans(str(tmp_path)) == []


def test_a_descriptor_and_a_child_more_are_seen(tmp_path: Path) -> None:
    before = held(os.getpid())
    with (tmp_path / "file").open("w"), subprocess.Popen(["sleep", "60"]) as child:
        now = held(child.pid)
        child.kill()
    assert (now.descriptors, now.children) == (before.descriptors + 1, before.children + 1)
    assert now.engine < now.own
