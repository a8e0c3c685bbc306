"""Commands that are done by who stands ready beside a warm engine: as if they had been done where they were typed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.support.house import ROOT
from tests.support.waiting import COMMAND_S, line_of, short_lived, until

MODEL = ("smollm2-135m", "--threads", "1", "--temp", "0")
LOCALRUN = (sys.executable, "-P", "-m", "localrun")
# What a command that is handed over does without: the rest of the program, and whatever is slow to import.
LEFT_OUT = {
    *("argparse", "asyncio", "subprocess", "tempfile", "jinja2", "numpy", "huggingface_hub", "textual", "rich"),
    *("jsonschema", "psutil", "platformdirs", "starlette", "uvicorn", "llama_cpp"),
    *("collections", "contextlib", "dataclasses", "enum", "functools", "json", "pathlib", "re", "socket", "typing"),
    *("runner.cli.main", "runner.service", "runner.types", "runner.report", "runner.storage", "models"),
}
INSTALLED = "import sys; from localrun import main; sys.exit(main())"  # what the program `localrun` is
SCRIPT = """
import json, localrun
with localrun.open("smollm2-135m", threads=1) as llm:
    print(json.dumps(llm.ask("Name three colours.", temp=0, max_tokens=4)), flush=True)
    input()
"""


@pytest.fixture(scope="module")
def home(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """No runtime folder. The engine's starter is gone, and all of its session was told that its terminal is."""
    folder = tempfile.mkdtemp(prefix="k", dir="/tmp")
    given = {**environment, "XDG_RUNTIME_DIR": "", "TMPDIR": folder, "PYTHONPATH": str(ROOT)}
    words = " ".join((*LOCALRUN, *MODEL, "-p", "Hello", "--max-tokens", "1", "--no-stdin", "--keep", "10m"))
    session = subprocess.Popen(
        ["sh", "-c", f"{words}; kill -HUP 0"], env=given, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    try:
        _, said = session.communicate(timeout=COMMAND_S)
        assert "There is no runtime folder" in said and "ends with this command" not in said, said
        ready = Path(folder) / f"localrun-{os.getuid()}" / "keep.ready"
        until(ready.is_socket, lambda: list(ready.parent.iterdir()))
        yield given
        run(given, "stop")
        until(lambda: not ready.parent.exists(), lambda: list(ready.parent.iterdir()))
    finally:
        shutil.rmtree(folder)


def run(environment: dict[str, str], *words: str, **how: object) -> subprocess.CompletedProcess[str]:
    options = {"capture_output": True, "text": True, "timeout": COMMAND_S, "env": environment, **how}
    return subprocess.run([*LOCALRUN, *words], check=False, **options)  # type: ignore[call-overload, no-any-return]


def warm(environment: dict[str, str]) -> dict[str, object]:
    (row,) = json.loads(run(environment, "ps", "--json").stdout)
    assert isinstance(row, dict)
    return row


def asked(*words: str) -> tuple[str, ...]:
    return (*MODEL, "-p", "Name three colours.", "--max-tokens", "4", *words)


def standing(environment: dict[str, str]) -> int:
    """Processes that stand ready or do a command in the place of another."""
    server = psutil.Process(int(str(warm(environment)["pid"])))
    return sum("runner.cli.standby" in one.cmdline() for one in server.children(recursive=True))


@pytest.mark.parametrize("how", ["-p", "stdin", "--batch"])
def test_little_is_imported_where_the_command_is_typed(home: dict[str, str], how: str, tmp_path: Path) -> None:
    """Whatever has no screen is handed over."""
    questions, answers = tmp_path / "in.txt", tmp_path / "out.jsonl"
    questions.write_text("Name three colours.\nName a city.\n")
    words = {
        "-p": asked("--no-stdin"),
        "stdin": (*MODEL, "--max-tokens", "4"),
        "--batch": (*MODEL, "--max-tokens", "4", "--batch", str(questions), "--out", str(answers)),
    }[how]
    command = [sys.executable, "-X", "importtime", "-P", "-c", INSTALLED, *words]
    with questions.open() as stdin:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_S, check=True, env=home, stdin=stdin
        )
    imported = set(re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.MULTILINE))
    assert "runner.client.handover" in imported
    assert not {name for name in imported if any(name == one or name.startswith(f"{one}.") for one in LEFT_OUT)}
    assert done.stdout or [json.loads(line)["text"] for line in answers.read_text().splitlines()]


def test_the_model_of_a_program_is_answered_there(home: dict[str, str]) -> None:
    alone = standing(home)
    answer = run(home, *asked("--no-stdin")).stdout
    with short_lived(
        subprocess.Popen(
            [sys.executable, "-P", "-c", SCRIPT], env=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    ) as program:
        assert json.loads(line_of(program)).strip() == answer.strip()
        assert standing(home) > alone
        program.communicate("\n", timeout=COMMAND_S)
    assert program.returncode == 0
    until(lambda: standing(home) == alone, lambda: standing(home))


def test_streams_folder_and_exit_code_are_those_of_the_command(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "colours.txt").write_text("red, green, blue")
    done = run(home, *asked("--json", "-f", "colours.txt"), input="Which?", cwd=tmp_path)
    said = json.loads(done.stdout)
    assert said["text"] and said["usage"]["prompt_tokens"] > 50, "it has read the file and stdin"
    assert run(home, *asked("--schema", "none.json", "--no-stdin"), cwd=tmp_path).returncode == 2
    assert "--nonsense" in run(home, *asked("--nonsense")).stderr
    with (tmp_path / "out").open("w") as out:
        assert run(home, *asked("--no-stdin"), capture_output=False, stdout=out).returncode == 0
    assert (tmp_path / "out").read_text()
    other = run(home, *asked("--ctx", "1024", "--no-stdin"))
    assert "1k context" in other.stderr and other.stdout, "what is not warm is done where it was typed"


def test_a_stop_keeps_what_was_said_and_the_engine_goes_on(home: dict[str, str]) -> None:
    before = warm(home)
    long = (*MODEL, "-p", "Write a long story.", "--jsonl", "--max-tokens", "600", "--no-stdin")
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # in the background a shell has it ignored
    with short_lived(
        subprocess.Popen([*LOCALRUN, *long], env=home, stdout=subprocess.PIPE, text=True, preexec_fn=heard)  # noqa: PLW1509
    ) as told:
        first = json.loads(line_of(told))["delta"]
        told.send_signal(signal.SIGINT)
        said, _ = told.communicate(timeout=COMMAND_S)
    last = json.loads(said.splitlines()[-1])
    assert (told.returncode, last["finish_reason"]) == (130, "interrupted")
    assert last["text"].startswith(first) and last["usage"]["completion_tokens"] < 600
    after = warm(home)
    assert (after["pid"], after["requests"], after["clients"]) == (before["pid"], 0, 0)
    assert run(home, *asked("--no-stdin")).returncode == 0


def test_whoever_is_killed_takes_the_answer_along_and_not_the_engine(home: dict[str, str]) -> None:
    long = (*MODEL, "-p", "Write a long story.", "--max-tokens", "8000", "--no-stdin")
    with short_lived(subprocess.Popen([*LOCALRUN, *long], env=home, stdout=subprocess.PIPE)) as told:
        assert told.stdout is not None and told.stdout.read(1)
        assert warm(home)["requests"] == 1
        told.kill()
    until(lambda: (row := warm(home))["requests"] == 0 and row["clients"] == 0, lambda: warm(home))


def test_nobody_reads_on(home: dict[str, str]) -> None:
    long = (*MODEL, "-p", "Write a long story.", "--max-tokens", "8000", "--no-stdin")
    with short_lived(subprocess.Popen([*LOCALRUN, *long], env=home, stdout=subprocess.PIPE)) as told:
        assert told.stdout is not None and told.stdout.read(1)
        told.stdout.close()
        assert told.wait(COMMAND_S) == -signal.SIGPIPE
