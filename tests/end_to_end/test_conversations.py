"""Conversations, files and named prompts from a shell: real processes, the real small model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.storage.conversations import read
from runner.types.tools_json import calls_json
from tests.support.asked import COUNTRY
from tests.support.waiting import COMMAND_S, line_of

SHORT = ("--temp", "0", "--max-tokens", "6", "--threads", "1")
MODEL = "smollm2-135m"

Done = subprocess.CompletedProcess[str]
Command = Callable[..., Done]


@pytest.fixture
def localrun(environment: dict[str, str], tmp_path: Path) -> Iterator[Command]:
    """The command of a user who has no conversations and no prompts yet."""
    own = {**environment, "XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CONFIG_HOME": str(tmp_path / "config")}

    def run(*words: str, stdin: str | None = None, **extra: str) -> Done:
        return subprocess.run(
            [sys.executable, "-P", "-m", "localrun", *words],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            env={**own, **extra},
            check=False,
            timeout=120,
        )

    yield run


def told(done: Done, code: int, said: str) -> None:
    """It ended with a code, and one sentence of stderr says why."""
    assert done.returncode == code and said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_a_conversation_goes_on_where_it_was(localrun: Command, tmp_path: Path) -> None:
    first = json.loads(localrun(MODEL, "-p", "My name is Ada.", *SHORT, "--save", "ada", "--json").stdout)
    assert first["conversation"]["name"] == "ada" and Path(first["conversation"]["file"]).is_file()
    again = localrun("-c", "-p", "What is my name?", *SHORT, "--json")
    second = json.loads(again.stdout)
    assert second["conversation"] == first["conversation"]
    assert second["model"] == first["model"], "the conversation knows its model"
    assert second["usage"]["prompt_tokens"] > first["usage"]["prompt_tokens"] + 6
    assert "Going on with 'ada': 2 turns" in again.stderr
    branch = json.loads(localrun(MODEL, "-c", "ada", "--save", "branch", "-p", "So?", *SHORT, "--json").stdout)
    listed = {one["name"]: one["turns"] for one in json.loads(localrun("list", "conversations", "--json").stdout)}
    assert (branch["conversation"]["name"], listed) == ("branch", {"branch": 6, "ada": 4})
    told(localrun(MODEL, "-p", "x", "--save", "ada"), 2, "A conversation is named 'ada' already; -c 'ada' goes on")
    told(localrun(MODEL, "-p", "x", "-c", "eve"), 2, "No conversation is named 'eve'")
    told(localrun("-c", MODEL, "-p", "x"), 2, "A model goes before -c.")


def test_calls_are_kept(localrun: Command, tmp_path: Path) -> None:
    tools = tmp_path / "tools.json"
    tools.write_text(json.dumps([{"name": "capital", "parameters": COUNTRY}]))
    how = ("--tools", str(tools), "--tool-choice", "capital", "--temp", "0", "--max-tokens", "40", "--threads", "1")
    said = json.loads(localrun(MODEL, "-p", "Capital?", *how, "--save", "calls", "--json").stdout)
    events = Path(said["conversation"]["file"]).read_text().splitlines()
    turn = read(events).turns[-1]
    assert turn.calls and calls_json(turn.calls) == said["tool_calls"]


def test_without_a_name_nothing_is_kept(localrun: Command) -> None:
    assert json.loads(localrun(MODEL, "-p", "Hi", *SHORT, "--json").stdout)["conversation"] is None
    told(localrun("list", "conversations"), 0, "There are no conversations yet.")
    told(localrun("-c", "-p", "x"), 2, "There are no conversations yet.")


def test_a_conversation_travels(localrun: Command, tmp_path: Path) -> None:
    told(localrun(MODEL, "-p", "Hello sea.", *SHORT, "--save", "sea"), 0, "")
    target = tmp_path / "sea.json"
    assert localrun("conversation", "export", "sea", str(target)).stdout == f"{target}\n"
    assert "# sea" in localrun("conversation", "export", "sea").stdout
    told(localrun("conversation", "export", "sea", str(target)), 2, "exists already")
    told(localrun("conversation", "rm", "sea"), 0, "")
    assert localrun("conversation", "import", str(target)).stdout == "sea: 2 turns\n"
    (found,) = json.loads(localrun("list", "conversations", "--json", "HELLO").stdout)
    assert (found["name"], found["excerpt"]) == ("sea", "Hello sea.")
    told(localrun("list", "conversations", "mountain"), 0, "No conversation has all of these words.")
    target.write_text("{}")
    told(localrun("conversation", "import", str(target)), 2, "holds no conversation")


def test_files_go_before_the_prompt_and_are_counted(localrun: Command, tmp_path: Path) -> None:
    notes, book = tmp_path / "notes.txt", tmp_path / "book.txt"
    notes.write_text("The password is swordfish.\n")
    book.write_text("word " * 900)
    done = localrun(MODEL, "-f", str(notes), "-p", "What is the password?", *SHORT, "--json")
    answer = json.loads(done.stdout)
    assert f"{notes}: " in done.stderr and answer["usage"]["prompt_tokens"] > 50
    spelled = f"{notes}:\n```\nThe password is swordfish.\n```\n\nWhat is the password?"
    assert json.loads(localrun(MODEL, "-p", spelled, *SHORT, "--json").stdout)["text"] == answer["text"]
    for ctx in ("512", "1024"):  # far too long, and a little
        refused = localrun(MODEL, "-f", str(notes), "-f", str(book), "-p", "So?", "--ctx", ctx, "--max-tokens", "300")
        told(refused, 2, f"the context holds {int(ctx):,}, and --ctx 2048 would hold it.")
        assert refused.stdout == ""
    told(localrun(MODEL, "-f", str(tmp_path / "none"), "-p", "x"), 2, "none cannot be read: No such file")


def test_a_named_prompt_is_filled(localrun: Command) -> None:
    assert localrun("prompt", "add", "twice", stdin="Say {} twice.\n").stdout.endswith("twice.txt\n")
    told(localrun("prompt", "add", "twice", "x"), 2, "A prompt is named 'twice' already")
    assert localrun("prompt", "show", "twice").stdout == "Say {} twice.\n"
    assert json.loads(localrun("list", "prompts", "--json").stdout)[0]["name"] == "twice"
    filled = [
        localrun(MODEL, "-P", "twice", *SHORT, stdin="hello\n"),
        localrun(MODEL, "-P", "twice", "-p", "hello", *SHORT),
    ]
    plain = localrun(MODEL, "-p", "Say hello twice.", *SHORT)
    assert {done.stdout for done in filled} == {plain.stdout}
    told(localrun(MODEL, "-P", "twice"), 2, "there is neither")
    told(localrun("prompt", "rm", "twice"), 0, "")
    told(localrun(MODEL, "-P", "twice"), 2, "No prompt is named 'twice'")


def test_an_answer_that_is_cut_says_by_what(localrun: Command) -> None:
    told(localrun(MODEL, "-p", "Tell me a story.", *SHORT), 0, "The answer ends here: --max-tokens 6 is reached.")
    long = "Tell me a long story of the sea. " * 18  # some tokens less than the context holds
    done = localrun(MODEL, "-p", long, "--ctx", "256", "--threads", "1", "--temp", "0")
    told(done, 0, "The answer ends here: the context of 256 tokens is full (--ctx asks for more).")


def test_flags_of_one_conversation_are_not_for_a_batch(localrun: Command, tmp_path: Path) -> None:
    for flags in (("-c",), ("--save", "x"), ("-f", "x"), ("-P", "x")):
        done = localrun(MODEL, "--batch", "in", "--out", "out", *flags)
        told(done, 2, "--continue, --save, --file and --named-prompt are for one conversation.")


def test_an_answer_that_cannot_be_kept_is_given_and_told(localrun: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = localrun(MODEL, "-p", "Hi", *SHORT, "--save", "x", XDG_DATA_HOME=str(tmp_path / "file"))
    told(done, 1, "The conversation could not be saved: Not a directory.")
    assert done.stdout.strip()


def waiting(environment: dict[str, str], *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "localrun", MODEL, *words, *SHORT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-p", "Hi"), "Waiting for stdin, which is open and silent: --no-stdin or </dev/null answers without it.\n"),
        ((), "Waiting for a prompt on stdin, which is open and silent.\n"),
    ],
)
def test_a_silent_stdin_is_waited_for_and_said(environment: dict[str, str], words: tuple[str, ...], said: str) -> None:
    process = waiting(environment, *words)
    assert line_of(process, "stderr") == said
    out, err = process.communicate("Say hello.\n", timeout=60)
    assert process.returncode == 0 and out.strip(), err


def test_a_loop_over_a_file_is_told_who_takes_its_lines(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("one\ntwo\n")
    command = " ".join([sys.executable, "-P", "-m", "localrun", MODEL, "-p", '"$line"', *SHORT])
    for flag, rounds, is_told in (("", 1, True), ("--no-stdin", 2, False)):
        loop = f"while read line; do echo round; {command} {flag}; done < {tmp_path / 'lines'}"
        done = subprocess.run(
            ["sh", "-c", loop], env=environment, capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
        assert done.stdout.count("round") == rounds
        assert ("in a loop, --no-stdin leaves it" in done.stderr) is is_told, done.stderr
