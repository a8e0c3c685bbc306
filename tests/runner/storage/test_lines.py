"""Lines at the end of a file: whole ones, once each, whatever the disk does."""

from pathlib import Path

import pytest

from runner.storage.lines import append_lines
from tests.support.disks import full_at


@pytest.mark.parametrize("room", range(14))
def test_a_disk_that_is_full_for_a_moment_takes_nothing_and_then_everything(tmp_path: Path, room: int) -> None:
    path = tmp_path / "lines"
    append_lines(path, b"first\n")
    with full_at(6 + room), pytest.raises(OSError):
        append_lines(path, b"second\nthird\nfourth\n")
    assert path.read_bytes() == b"first\n"
    append_lines(path, b"second\nthird\nfourth\n", sync=True)
    assert path.read_bytes() == b"first\nsecond\nthird\nfourth\n"


def test_a_cut_line_is_ended_once_the_disk_has_room(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"first\nhal")
    with full_at(12), pytest.raises(OSError):
        append_lines(path, b"second\n")
    append_lines(path, b"second\n")
    assert path.read_bytes() == b"first\nhal\nsecond\n"
