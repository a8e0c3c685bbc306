"""A state on disk is the one that was written, or none."""

from ctypes import c_ubyte, memmove
from pathlib import Path
from typing import Any

import pytest

from runner.engine.state_file import Checkpoint, read_state, write_state

TOKENS, CELLS = [1, 2, 49151], bytes(range(256)) * 3
CHECKPOINTS = tuple(Checkpoint(count, (c_ubyte * size)(*range(size))) for count, size in ((1, 7), (2, 5)))


def fill(cells: Any) -> int:
    memmove(cells, CELLS, len(CELLS))
    return len(CELLS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "new" / "a.state"
    assert write_state(path, "me", TOKENS, len(CELLS), fill, CHECKPOINTS) == path.stat().st_size
    return path


def test_it_comes_back(path: Path) -> None:
    state = read_state(path, "me")
    assert state and (state.tokens, bytes(state.cells)) == (TOKENS, CELLS)
    told = [(one.count, bytes(one.state)) for one in state.checkpoints]
    assert told == [(1, bytes(range(7))), (2, bytes(range(5)))]
    assert path.stat().st_mode & 0o777 == 0o600 and [*path.parent.iterdir()] == [path]


def test_it_is_nobody_elses(path: Path, tmp_path: Path) -> None:
    assert read_state(path, "you") is None and read_state(tmp_path / "none", "me") is None


def test_no_changed_byte_and_no_cut_is_believed(path: Path) -> None:
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert read_state(path, "me") is None, at
        path.write_bytes(whole[:at])
        assert read_state(path, "me") is None, at
    path.write_bytes(whole)
    assert read_state(path, "me")


def test_what_llama_cpp_does_not_fill_leaves_the_old_one(path: Path) -> None:
    before = path.read_bytes()
    assert write_state(path, "me", TOKENS, 10, lambda _cells: 0) == 0
    assert path.read_bytes() == before and [*path.parent.iterdir()] == [path]
