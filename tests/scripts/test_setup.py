"""The commands of a working copy, run in a copy: real shell, real Python, and a `uv` that only takes notes."""

import os
import re
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.environment.install import compiled, last_words
from tests.support.waiting import COMMAND_S

ROOT = Path(__file__).resolve().parents[2]
SHELL = ["scripts/setup", "scripts/run", "scripts/test", "scripts/check", ".ci/run"]
UV = """#!/bin/sh
if [ "$2" = --help ]; then echo "      --config-settings-package <CONFIG_SETTINGS_PACKAGE>"; exit; fi
echo "$@" >> "$UV_SAID"
echo "DEBUG uv is verbose"
echo "DEBUG [50/200] Building CXX object"
echo "DEBUG [200/200] Linking"
echo "  CMake Error: no compiler"
exit "${UV_EXIT:-0}"
"""
SYNC = "sync --locked --extra demo --verbose --color never"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A working copy with a bare .venv whose `localrun` says its arguments and repeats its stdin."""
    root = tmp_path / "a working copy"
    for name in (*SHELL[:3], "scripts/environment/install.py", "pyproject.toml", "uv.lock"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, root / name)
    shutil.copytree(ROOT / "runner/build", root / "runner/build")
    (root / "runner/hardware").mkdir()
    for name in ("runner/__init__.py", "runner/hardware/__init__.py", "runner/hardware/pci.py"):
        shutil.copy2(ROOT / name, root / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], timeout=COMMAND_S, check=True)
    program(root / ".venv/bin/localrun", '#!/bin/sh\necho "$@"\ncat\n')
    program(root / "tools/uv", UV)
    return root


def program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)  # It may be a link to the real program.
    path.write_text(text)
    path.chmod(0o755)


def run(root: Path, *command: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{root}/tools:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "UV_SAID": f"{root}/said", "VIRTUAL_ENV": "/elsewhere"} | variables
    return subprocess.run(
        [root / command[0], *command[1:]],
        input=stdin,
        env=environment,
        cwd=root.parent,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )


def said(root: Path) -> list[str]:
    path = root / "said"
    return path.read_text().splitlines() if path.exists() else []


def age(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


@pytest.mark.parametrize("name", SHELL)
def test_scripts_are_short_programs(name: str) -> None:
    path = ROOT / name
    assert path.stat().st_mode & stat.S_IXUSR
    assert path.read_text().startswith("#!/usr/bin/env bash\n")
    assert len(path.read_text().splitlines()) <= 20
    subprocess.run(["bash", "-n", path], timeout=COMMAND_S, check=True)


def test_run_sets_up_once_and_keeps_stdin_and_stdout_for_localrun(copy: Path) -> None:
    (copy / ".venv/localrun-setup").write_text("cpu source")
    age(copy / ".venv/localrun-setup", 1e6)
    first = run(copy, "scripts/run", "smollm2-135m", "-p", "two words", stdin="typed\n")
    assert (first.returncode, first.stdout) == (0, "smollm2-135m -p two words\ntyped\n")
    assert said(copy) == [SYNC]
    second = run(copy, "scripts/run", "again")
    assert (second.returncode, second.stdout, second.stderr) == (0, "again\n", "")
    assert said(copy) == [SYNC]


def test_setting_up_again_starts_nothing(copy: Path) -> None:
    (copy / ".venv/localrun-setup").touch()
    program(copy / ".venv/bin/python", "#!/bin/sh\nexit 1\n")
    done = run(copy, "scripts/setup", "--if-needed")
    assert (done.returncode, done.stdout, done.stderr, said(copy)) == (0, "", "", [])


@pytest.mark.parametrize("name", ["pyproject.toml", "uv.lock"])
def test_a_change_of_what_is_wanted_sets_up_again(copy: Path, name: str) -> None:
    (copy / ".venv/localrun-setup").write_text("cpu source")
    age(copy / name, -60)
    assert run(copy, "scripts/setup", "--if-needed").returncode == 0
    assert said(copy) == [SYNC]


def test_setup_says_what_it_decided_and_ends_with_the_doctor(copy: Path) -> None:
    done = run(copy, "scripts/setup", "--backend", "cpu", "--method", "source", CMAKE_ARGS="-DGGML_CUDA=ON")
    assert (done.returncode, done.stdout) == (0, "doctor\n")
    assert "setup: llama.cpp: CPU, compiled here" in done.stderr
    assert "CMAKE_ARGS is left aside" in done.stderr
    assert re.findall(r"compiling llama\.cpp, (\d+) % in \d+ s\n", done.stderr) == ["20", "100"]
    assert "\x1b" not in done.stderr
    assert "uv is verbose" not in done.stderr
    assert "uv is verbose" in (copy / ".venv/setup.log").read_text()


def test_an_asked_backend_is_remembered_until_auto(copy: Path) -> None:
    vulkan = SYNC.replace(
        " --verbose", " --config-settings-package llama-cpp-python:cmake.define.GGML_VULKAN=ON --verbose"
    )
    assert run(copy, "scripts/setup", "--backend", "vulkan", "--method", "source").returncode == 0
    age(copy / "pyproject.toml", -60)
    assert run(copy, "scripts/setup", "--if-needed").returncode == 0
    assert said(copy) == [vulkan, vulkan]
    assert run(copy, "scripts/setup", "--backend", "auto").returncode == 0
    assert (copy / ".venv/localrun-setup").read_text() == "auto"


def test_a_failure_shows_the_end_of_the_log_and_is_tried_again(copy: Path) -> None:
    failed = run(copy, "scripts/setup", "--backend", "cpu", "--method", "source", UV_EXIT="2")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "CMake Error: no compiler\n" in failed.stderr
    assert f"the whole log is {copy}/.venv/setup.log" in failed.stderr
    assert not (copy / ".venv/localrun-setup").exists()
    ran = run(copy, "scripts/run", "x", UV_EXIT="2")
    assert (ran.returncode, ran.stdout) == (1, "")


def test_without_uv_there_is_one_clear_sentence(copy: Path) -> None:
    """Neither a uv nor a python3 that could fetch one."""
    program(copy / "tools/uv", "#!/bin/sh\nexit 127\n")
    program(copy / "tools/python3", "#!/bin/sh\nexit 1\n")
    done = run(copy, "scripts/setup")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("setup: could not fetch uv; install it (https://docs.astral.sh/uv/)")


@pytest.mark.parametrize(
    ("line", "percent"),
    [
        ("DEBUG [12/197] /usr/bin/g++ -O3", 6),
        ("DEBUG [197/197] Linking CXX shared library", 100),
        ("[99/197] Building", 50),
        ("DEBUG [ 42%] Building CXX object", 42),
        ("DEBUG [2/8] Building vulkan-shaders-gen", None),
        ("DEBUG [0/2] Re-checking globbed directories", None),
        ("DEBUG Searching for [100/200]", None),
        ("Resolved 76 packages in 4ms", None),
        ("", None),
    ],
)
def test_progress_of_a_line(line: str, percent: int | None) -> None:
    assert compiled(line) == percent


def test_last_words_are_those_that_matter() -> None:
    log = ["DEBUG a\n", "TRACE b\n", "\n", "  CMake Error:\n", "x\n", "DEBUG c\n", "  hint: y\n"]
    assert last_words(log) == ["  CMake Error:", "x", "  hint: y"]
    assert last_words([f"{n}\n" for n in range(100)], count=2) == ["98", "99"]
