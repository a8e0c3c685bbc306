"""Which states of conversations stay on the disk."""

import os
import shutil
from pathlib import Path

import pytest

from runner.storage.states import States


@pytest.fixture
def states(tmp_path: Path) -> States:
    (tmp_path / "states").mkdir()
    return States(tmp_path / "states", limit=250)


def put(states: States, name: str, size: int, used: float) -> Path:
    path = states.path(name, "weights")
    path.write_bytes(bytes(size))
    os.utime(path, (used, used))
    return path


def test_the_least_recently_used_go_first(states: States) -> None:
    old, middle, new = (put(states, name, 100, used) for name, used in (("a", 1), ("b", 2), ("c", 3)))
    states.used(old)
    states.prune()
    assert old.exists() and new.exists() and not middle.exists() and states.bytes == 200


def test_a_clock_that_was_put_back_makes_the_last_used_not_the_oldest(states: States) -> None:
    ahead, other, new = (put(states, name, 100, used) for name, used in (("a", 4e9), ("b", 4e9 + 9), ("c", 1)))
    states.used(new)
    states.prune()
    assert new.exists() and other.exists() and not ahead.exists()


def test_one_that_alone_is_too_large_does_not_stay(states: States) -> None:
    path = put(states, "a", 300, 1)
    states.prune()
    assert not path.exists()


def test_a_name_with_other_weights_is_another_file(states: States) -> None:
    assert states.path("a", "weights") != states.path("a", "others") != states.path("b", "others")


def test_what_a_killed_process_left_goes_when_it_is_old(states: States) -> None:
    left, fresh = states.folder / ".a.state.17", states.folder / ".b.state.18"
    for path in (left, fresh):
        path.write_bytes(b"half")
    for dated in (1, 4e9):  # long ago, or by a clock that was ahead
        left.write_bytes(b"half")
        os.utime(left, (dated, dated))
        states.prune()
        assert not left.exists() and fresh.exists()
    assert states.clear() == 4 and not fresh.exists()


def test_by_default_a_tenth_of_what_is_free_at_most_20_gb(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    room = States(tmp_path / "none").room()
    assert room == 20_000_000_000 or room == pytest.approx(free / 10, rel=0.01)
