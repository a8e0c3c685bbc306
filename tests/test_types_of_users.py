"""A type checker of somebody who has installed the wheel sees the types of `import localrun`."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.typed import STUBS
from tests.support.waiting import COMMAND_S

ROOT = STUBS.parents[1]
SCRIPT = """
from typing import TYPE_CHECKING

import localrun

if TYPE_CHECKING:
    from localrun import Result


def text_of(result: "Result") -> str:
    print(result["texts"])
    return result["text"]


with localrun.open("smollm2-135m") as llm:
    reveal_type(localrun.plan("x")["candidates"][0]["placement"])
    for chunk in llm.chat([{"role": "user", "content": "Hi"}], temp=0, temperatur=1):
        reveal_type(chunk.result)
    reveal_type(llm.info["memory"][0]["measured"])
"""


def run(*words: str | Path, **environment: str) -> str:
    """What Python says of this, whatever its exit code."""
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=COMMAND_S,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.fixture
def their_python(tmp_path: Path) -> Path:
    """Of an environment in which the wheel alone lies."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        check=True, capture_output=True, cwd=ROOT, timeout=COMMAND_S,
    )  # fmt: skip
    venv.create(tmp_path / "theirs", symlinks=True)
    (packages,) = (tmp_path / "theirs").glob("lib/*/site-packages")
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    return tmp_path / "theirs/bin/python"


def test_mypy_sees_them_in_the_wheel(their_python: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    said = run("-m", "mypy", "--strict", "--cache-dir", os.devnull, "--python-executable", their_python, script)
    notes = [line.partition("note: ")[2] for line in said.splitlines() if "Revealed" in line]
    assert len(notes) == 3, said
    assert ["Placement" in notes[0], "Result" in notes[1], "Components" in notes[2]] == [True] * 3, notes
    errors = [line for line in said.splitlines() if "error:" in line]
    assert len(errors) == 2 and '"texts"' in errors[0] and '"temperatur"' in errors[1], said


def test_the_stubs_are_the_modules(tmp_path: Path) -> None:
    (tmp_path / "localrun.pyi").write_text(STUBS.read_text())
    said = run("-m", "mypy.stubtest", "localrun", MYPYPATH=str(tmp_path), PYTHONPATH=str(ROOT))
    assert "Success" in said, said
