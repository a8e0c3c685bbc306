"""What a killed process leaves in the folder for temporary files goes with the next one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner.storage.scratch import Scratch
from tests.support.waiting import line_of

KEEPER = """
import sys
from runner.storage.scratch import Scratch
kept = Scratch()
(kept.path / "0.gguf").write_bytes(b"x")
print(kept.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def make_old(path: Path) -> None:
    os.utime(path, (time.time() - 3600,) * 2)


def test_what_is_closed_or_dropped_is_gone(temporary: Path) -> None:
    scratch = Scratch()
    (scratch.path / "file").write_text("x")
    scratch.close()
    dropped = Scratch()
    del dropped
    assert not list(temporary.iterdir())


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays(temporary: Path) -> None:
    command = [sys.executable, "-c", KEEPER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as keeper:
        path = Path(line_of(keeper).strip())
        assert path.parent == temporary
        make_old(path)
        own = Scratch()
        assert (path / "0.gguf").exists()
        keeper.send_signal(signal.SIGKILL)
    Scratch().close()
    assert list(temporary.iterdir()) == [own.path]


def test_what_is_new_or_no_folder_of_ours_stays(temporary: Path) -> None:
    young, target = temporary / "localrun-scratch-young", temporary / "precious"
    young.mkdir()
    target.mkdir()
    make_old(target)
    (temporary / "localrun-scratch-link").symlink_to(target)
    Scratch().close()
    assert young.exists() and target.exists()
