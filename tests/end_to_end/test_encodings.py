"""Bytes that are no text and characters that cannot be written, in any locale; JSON in every failure."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import COMMAND_S, PATIENCE_S, until

SHORT = ("--temp", "0", "--max-tokens", "4", "--threads", "1")
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Run:
    def start(
        *words: str | bytes, stdin: bytes = b"", encoding: str = "utf-8:strict"
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "localrun", *words],
            input=stdin,
            env={**environment, "PYTHONIOENCODING": encoding},
            cwd=tmp_path,
            capture_output=True,
            timeout=COMMAND_S,
            check=False,
        )

    return start


def test_bytes_that_are_no_text_are_said_and_not_dropped(run: Run) -> None:
    word = "R\xe9sum\xe9".encode("latin-1")
    done = run("smollm2-135m", "-p", "What is it?", "--json", *SHORT, stdin=word)
    alone = run("smollm2-135m", "-p", "What is it?", "--json", *SHORT)
    counted = [json.loads(one.stdout)["usage"]["prompt_tokens"] for one in (done, alone)]
    assert done.returncode == 0 and counted[0] > counted[1]
    assert "The prompt is not all utf-8 text: bytes that are none (2) are read as \ufffd." in done.stderr.decode()
    plain = run("smollm2-135m", "--plain", *SHORT, stdin=b"caf\xe9\n")
    assert (plain.returncode, bool(plain.stdout.strip())) == (0, True) and b"Traceback" not in plain.stderr


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_and_pipes_of_windows_are_read_by_their_mark(run: Run, tmp_path: Path, encoding: str) -> None:
    """Its editors begin UTF-8 with a mark, and its shell writes UTF-16."""
    alone = run("smollm2-135m", "--json", *SHORT, stdin=b"Say h\xc3\xa9.\nNow.")
    piped = run("smollm2-135m", "--json", *SHORT, stdin="Say h\xe9.\nNow.".encode(encoding))
    first, second = (json.loads(one.stdout) for one in (alone, piped))
    assert (second["text"], second["usage"]) == (first["text"], first["usage"]) and b"not all" not in piped.stderr
    words = {
        "schema": '{"enum": ["caf\xe9"]}\r\n',
        "grammar": 'root ::= "caf\xe9"\r\n',
        "batch": '{"prompt": "Say h\xe9.", "choices": ["caf\xe9"]}\r\n\r\nNow.\r\n',
    }
    for name, text in words.items():
        (tmp_path / name).write_bytes(text.encode(encoding))
    for name, answer in (("schema", '"caf\xe9"\n'), ("grammar", "caf\xe9\n")):
        done = run("smollm2-135m", "-p", "Pick.", f"--{name}", name, "--temp", "0")
        assert (done.returncode, done.stdout.decode()) == (0, answer), done.stderr
    done = run("smollm2-135m", "--batch", "batch", "--out", "out", *SHORT)
    rows = sorted(map(json.loads, (tmp_path / "out").read_text().splitlines()), key=lambda row: row["line"])
    assert [(row["line"], row["prompt"], row["text"]) for row in rows] == [
        (1, "Say h\xe9.", "caf\xe9"),
        (3, "Now.", rows[-1]["text"]),
    ], done.stderr


def test_characters_that_cannot_be_written_are_replaced(run: Run, tmp_path: Path) -> None:
    (tmp_path / "grammar").write_text('root ::= "caf\xe9 \U0001f999"\n', "utf-8")
    done = run("smollm2-135m", "-p", "x", "--grammar", "grammar", "--temp", "0", encoding="latin-1:strict")
    assert (done.returncode, done.stdout) == (0, b"caf\xe9 ?\n")
    assert run("plan", "smollm2-135m", encoding="ascii:strict").returncode == 0


@pytest.mark.skipif(sys.platform == "darwin", reason="its disks take only UTF-8")
def test_a_file_whose_name_is_no_text(run: Run, smollm2: Path, tmp_path: Path) -> None:
    name = b"bad\xff.gguf"
    shutil.copy(smollm2, tmp_path / os.fsdecode(name))
    assert run(name, "-p", "hi", *SHORT).stdout.strip()
    for words in (("plan", name), ("plan", name, "--json"), ("show", name)):
        done = run(*words)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr


@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [
        (("smollm2-135m", "-p", "x", "--schema", "nosuch"), 2, "UsageError"),
        (("smollm2-135m", "-p", "x", "--schema", "bad"), 2, "UsageError"),
        (("smollm2-135m", "-p", "x", "--grammar", "bad"), 2, "UsageError"),
        (("smollm2-135m",), 2, "UsageError"),
        (("smollm2-135m", "--batch", "nosuch", "--out", "out"), 2, "UsageError"),
        (("smollm2-135m", "--batch", "bad", "--out", "out"), 1, "EngineError"),
        (("smollm2-35m", "-p", "x"), 3, "ModelNotFound"),
        (("smollm2-135m", "-p", "word " * 9000), 2, "PromptTooLong"),
    ],
)
@pytest.mark.parametrize("flag", ["--json", "--jsonl"])
def test_every_failure_is_an_object(
    run: Run, tmp_path: Path, words: tuple[str, ...], code: int, kind: str, flag: str
) -> None:
    (tmp_path / "bad").write_text("{{")
    done = run(*words, flag)
    told = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, told["error"]["kind"], told["error"]["code"]) == (code, kind, code)
    assert told["finish_reason"] == "error" and told["error"]["message"] in done.stderr.decode()


def engines_of(command: psutil.Process) -> list[psutil.Process]:
    return [child for child in command.children() if "runner.engine" in child.cmdline()]


def test_ctrl_c_while_it_loads_is_an_object(environment: dict[str, str]) -> None:
    words = [sys.executable, "-P", "-m", "localrun", "smollm2-135m", "-p", "x", "--json"]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment)
    command = psutil.Process(process.pid)
    # Whole: one that is stopped before it is a program of its own would hold the command, too.
    until(lambda: bool(engines_of(command)), command.children)
    engines = engines_of(command)
    engines[0].suspend()  # the plan waits for it
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert not psutil.wait_procs(engines, timeout=PATIENCE_S)[1], "stopped as it is"
    told = json.loads(out)
    assert (process.returncode, told["finish_reason"], told["error"]["kind"]) == (130, "interrupted", "Interrupted")
