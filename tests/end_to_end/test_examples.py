"""The examples do what they say, with the real small model and without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.waiting import COMMAND_S

EXAMPLES = Path(__file__).parents[2] / "examples"


def ran(name: str, environment: dict[str, str], folder: Path) -> str:
    path = EXAMPLES / name
    words = [sys.executable if path.suffix == ".py" else "sh", str(path)]
    # `localrun` is the one that stands beside this Python.
    programs = os.pathsep.join((str(Path(sys.executable).parent), environment["PATH"]))
    done = subprocess.run(
        words,
        env={**environment, "PATH": programs},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not list(folder.iterdir()), "an example leaves nothing behind"
    return done.stdout


def test_chat(environment: dict[str, str], tmp_path: Path) -> None:
    first, second = ran("chat.py", environment, tmp_path).split("> Which")
    assert "Red" in first and "(0 tokens of the conversation" in first
    assert "the sky?\n" in second and "(0 tokens" not in second


def test_other_hardware(environment: dict[str, str], tmp_path: Path) -> None:
    lines = ran("other_hardware.py", environment, tmp_path).splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "rtx-4060", "2xrtx-3090,ram=64g", "a100-sxm-80gb,ram=128g", "cpu,ram=32g"
    ]  # fmt: skip
    assert "Q4_1 on gpu" in lines[0] and "Q4_1 on cpu" in lines[-1]


def test_compare(environment: dict[str, str], tmp_path: Path) -> None:
    rows = [line.split() for line in ran("compare.py", environment, tmp_path).splitlines()[1:]]
    kv = {(row[0], row[1]): int(row[3]) for row in rows}
    assert kv["8192", "f16"] == 4 * kv["2048", "f16"] > kv["8192", "q8_0"] > 0


def test_extract(environment: dict[str, str], tmp_path: Path) -> None:
    name, _, born = ran("extract.py", environment, tmp_path).strip().rpartition(", ")
    assert name and born.lstrip("-").isdigit()


def test_batch(environment: dict[str, str], tmp_path: Path) -> None:
    answers = [json.loads(line) for line in ran("batch.sh", environment, tmp_path).splitlines()]
    assert [answer["usage"]["completion_tokens"] for answer in answers[:2]] == [8, 8] and len(answers) == 3


def test_no_example_is_left_out() -> None:
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in EXAMPLES.iterdir() if path.suffix in (".py", ".sh")} <= tested
