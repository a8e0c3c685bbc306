"""Weights that borrowers sent: only whole ones are kept, within bounds, the most useful longest."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.storage.sent_weights import SentWeights

A, B, C = (letter * 16 for letter in "abc")


def written(folder: Path, sizes: dict[str, int]) -> None:
    for age, (name, size) in enumerate(sizes.items()):
        (folder / name).write_bytes(bytes(size))
        os.utime(folder / name, (age, age))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"list.json"}


def test_what_is_not_whole_goes(tmp_path: Path) -> None:
    kept = SentWeights(tmp_path / "sent")
    kept.ready()
    written(kept.folder, {A: 10, B: 7, C: 3})
    kept.settle({A: 10, B: 9}, ())
    assert names(kept.folder) == {A}, "one was cut, of one nobody knows how long it should be"
    written(kept.folder, {A: 4, B: 9})
    SentWeights(kept.folder).ready()
    assert names(kept.folder) == set(), "a worker that was killed left them"


def test_what_was_of_no_use_for_longest_goes_first(tmp_path: Path) -> None:
    kept = SentWeights(tmp_path, limit=20)
    kept.ready()
    written(tmp_path, {A: 10, B: 10, C: 10})
    kept.settle({A: 10, B: 10, C: 10}, [A])
    assert names(tmp_path) == {A, C} and kept.bytes == 20
    os.utime(tmp_path / A, (4e9, 4e9))  # by a clock that was ahead
    (tmp_path / B).write_bytes(bytes(10))
    kept.settle({B: 10}, [C, B])
    assert names(tmp_path) == {B, C}
    assert kept.clear() == 20 and kept.bytes == 0
    assert kept.clear() == 0, "also where there is no folder"


@pytest.mark.parametrize(("free", "room"), [(90, 25), (800 * 10**9, 100 * 10**9)])
def test_a_quarter_of_what_is_free_or_theirs_is_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, room: int
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=free))
    written(tmp_path, {A: 10})
    assert SentWeights(tmp_path).room() == room
