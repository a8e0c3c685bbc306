"""A JSON file: missing, damaged, written at once, refused by the disk."""

from pathlib import Path

import pytest

from runner.storage.json_file import read_json, write_json


def test_what_was_written_is_read_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "one.json"
    write_json(path, {"a": [1, 2.5, None]})
    assert read_json(path) == {"a": [1, 2.5, None]}
    write_json(path, [])
    assert read_json(path) == []
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("damage", [None, b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_missing_or_damaged_is_nothing(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "one.json"
    if damage is not None:
        path.write_bytes(damage)
    assert read_json(path) is None


def test_a_disk_that_refuses_costs_only_that(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    write_json(tmp_path / "file" / "one.json", 1)
    (tmp_path / "folder").mkdir()
    write_json(tmp_path / "folder", 1)  # cannot be replaced by a file
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
