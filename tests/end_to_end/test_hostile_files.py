"""Files whose names, metadata, template and vocabulary hold escapes: nothing of them acts on a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.hostile import ACTS, BACKWARDS, HOSTILE, TITLE, TOKEN, evil_token, hostile, of_architecture
from tests.support.waiting import COMMAND_S

Run = Callable[..., tuple[int, bytes]]
FLAGS = ("--ctx", "256", "--threads", "1", "--temp", "0", "--max-tokens", "8", "--no-stdin")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """With a short path: a line that is too long is broken, and then not by what is in it."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture(scope="module")
def evil(smollm2: Path, folder: Path) -> Path:
    return hostile(smollm2, folder / f"mo{TITLE}del{BACKWARDS}\nforged-Q4_1.gguf")


@pytest.fixture(scope="module")
def on_terminal(environment: dict[str, str]) -> Run:
    """A command whose every stream is a terminal: its exit code, and all that it wrote there."""

    def run(*words: str) -> tuple[int, bytes]:
        main, other = pty.openpty()
        command = [sys.executable, "-P", "-m", "localrun", *words]
        variables = {**environment, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "200"}
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=other, stderr=other, env=variables) as process:
            os.close(other)
            said = b""
            try:
                while new := os.read(main, 65536):
                    said += new
            except OSError:  # Linux: nobody has the other side any more
                pass
            process.wait(COMMAND_S)
        os.close(main)
        return process.returncode, said

    return run


def check(said: bytes) -> None:
    """Nothing acts, and no foreign line end has begun a line."""
    assert not [words for words in (*ACTS, b"\x1b", b"\x07") if words in said], said
    assert not [line for line in said.splitlines() if line.startswith(b"forged")], said


@pytest.mark.parametrize("words", [("show",), ("plan",), ("show", "--json")])
def test_what_a_file_says_of_itself(on_terminal: Run, evil: Path, words: tuple[str, ...]) -> None:
    code, said = on_terminal(words[0], str(evil), *words[1:])
    check(said)
    assert (code, bool(said)) == (0, True), said
    if "--json" in words:
        assert json.loads(said)


def test_a_folder_of_such_files(on_terminal: Run, evil: Path) -> None:
    code, said = on_terminal("plan", str(evil.parent))
    check(said)
    assert code == 0, said


@pytest.mark.parametrize("flag", [(), ("--jsonl",)])
def test_an_answer_of_tokens_that_are_escapes(
    on_terminal: Run, environment: dict[str, str], evil: Path, smollm2: Path, tmp_path: Path, flag: tuple[str, ...]
) -> None:
    """On a terminal it is shown, and into a pipe it goes as it is."""
    grammar = tmp_path / "g"
    grammar.write_text(f'root ::= <[{evil_token(smollm2)}]> "evil"')
    words = (str(evil), "-p", "Say hi.", "--grammar", str(grammar), *FLAGS, *flag)
    code, said = on_terminal(*words)
    check(said)
    assert (code, ("\\u001b" if flag else "␛").encode() in said) == (0, True), said
    if not flag:
        piped = subprocess.run(
            [sys.executable, "-P", "-m", "localrun", *words],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_S, check=True,
        )  # fmt: skip
        assert piped.stdout == f"{TOKEN}evil\n".encode(), piped.stdout


@pytest.mark.parametrize("words", [("plan",), ("-p", "hi", "--json")])
def test_an_error_that_quotes_them(on_terminal: Run, smollm2: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    path = str(of_architecture(smollm2, HOSTILE, tmp_path / "odd.gguf"))
    code, said = on_terminal(*((words[0], path) if len(words) == 1 else (path, *words)))
    check(said)
    assert code in (0, 3) and b"forged" in said, said
