"""The lines of a batch, and the file of answers that is gone on with."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import PromptTooLong, UsageError
from runner.cli.batch_files import Answers
from runner.cli.batch_lines import BatchLine, read_lines
from runner.engine import llama
from runner.types.generation import Message
from runner.types.sampling import Sampling
from tests.support.grammars import Grammars
from tests.support.waiting import COMMAND_S


def lines_of(text: str) -> list[BatchLine]:
    return list(read_lines(text, Sampling(), Grammars()))


def test_plain_lines_objects_and_empty_lines() -> None:
    base = Sampling(seed=1)
    text = 'Say one.\n\n{"prompt": "Say two.", "id": 7, "temp": 0, "stop": "."}\r\n  \n'
    one, two = read_lines(text, base, Grammars())
    assert (one.number, one.id, one.prompt, one.sampling) == (1, "1", "Say one.", base)
    assert (two.number, two.id, two.prompt) == (3, "7", "Say two.")
    assert two.sampling == Sampling(temperature=0.0, seed=1, stop=(".",))


def test_a_line_may_have_tools_calls_and_results() -> None:
    call = {"id": "1", "function": {"name": "now", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "When?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "12:00"},
    ]
    asked = {"messages": messages, "tools": [{"name": "now"}], "tool_choice": "none", "parallel_tool_calls": False}
    (line,) = lines_of(json.dumps(asked))
    assert line.wrong is None and line.messages[1].calls[0].name == "now" and line.messages[2].answers == "1"
    assert [tool.name for tool in line.sampling.templating.tools] == ["now"] and not line.sampling.calling.parallel
    (line,) = lines_of(json.dumps({"prompt": "x", "tools": [{"name": "now"}], "choices": ["a"]}))
    assert "Tools exclude" in str(line.wrong)


def test_only_a_newline_ends_a_line() -> None:
    assert [line.prompt for line in lines_of("a\u2028b\x85c\x0cd\nd")] == ["a\u2028b\x85c\x0cd", "d"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "must be JSON with a prompt"),
        ("{" * 5000, "must be JSON with a prompt"),
        ('{"text": "x"}', "must be JSON with a prompt"),
        ('{"prompt": "x", "messages": []}', "must be JSON with a prompt, or with messages"),
        ('{"messages": []}', "it has no messages"),
        ('{"messages": [{"role": "user"}]}', "a message is an object with a role and a content"),
        ('{"messages": "x"}', "a message is an object with a role and a content"),
        ('{"prompt": "x", "choices": ["a"], "grammar": "root ::= x"}', "grammar and choices exclude each other"),
        ('{"prompt": "x", "grammar": "root ::= ("}', "llama.cpp does not understand the grammar"),
        ('{"prompt": "x", "choices": "a"}', "choices: it is a list of texts"),
        ('{"prompt": "x", "temp": 11}', "--batch, line 2: temp: 11 is out of range: 0 to 10."),
    ],
)
def test_a_wrong_line_is_told_and_the_others_are_read(line: str, said: str) -> None:
    before, wrong, behind = lines_of(f"fine\n{line}\nfine too")
    assert (before.wrong, behind.wrong, behind.number) == (None, None, 3)
    assert said in str(wrong.wrong)
    assert (wrong.id, wrong.prompt) == ("2", line)


def test_a_line_brings_its_conversation_and_the_form_of_its_answer() -> None:
    lines = (
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]},
        {"messages": [{"role": "system", "content": "Be rude."}, {"role": "user", "content": "Hi"}]},
        {"prompt": "x", "choices": ["yes", 'n"o']},
        {"prompt": "x", "grammar": "root ::= [a-z]"},
        {"prompt": "x", "schema": {"type": "integer"}},
    )
    text = "\n".join(map(json.dumps, lines))
    talk, rude, *bound = read_lines(text, Sampling(grammar="all"), Grammars(), "Be kind.")
    assert talk.messages == (Message("system", "Be kind."), Message("user", "Hi"), Message("assistant", "Hello"))
    assert rude.messages[0] == Message("system", "Be rude.")
    assert (talk.sampling.grammar, talk.prompt) == ("all", "Hello")
    assert [line.sampling.grammar for line in bound] == [
        'root ::= "yes" | "n\\"o"',
        "root ::= [a-z]",
        llama.grammar_of_schema('{"type": "integer"}'),
    ]


# ---- what was answered


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def answered(out: Path, text: str, error: str | None = None) -> None:
    """As if all lines of `text` had been answered."""
    answers = Answers(out)
    for line in lines_of(text):
        answers.add({"id": line.id, "asked": line.asked, "error": {"kind": error} if error else None})
    answers.close()


def left(out: Path, text: str) -> list[str]:
    answers = Answers(out)
    found = [line.prompt for line in answers.left(lines_of(text))]
    answers.close()
    return found


@pytest.mark.parametrize(
    ("before", "now", "asked"),
    [
        ("one\ntwo\n", "one\ntwo\nthree\n", ["three"]),
        ("one\n", "zero\none\n", ["zero"]),  # moved
        ("one\n", "other\n", ["other"]),  # changed
        ("same\n", "same\nsame\n", ["same"]),  # asked twice
        ("a\u2028b\none\n", "a\u2028b\none\ntwo\n", ["two"]),
        ('{"prompt": "x", "seed": 1}\n', '{"prompt": "x", "seed": 1}\n{"prompt": "x", "seed": 2}\n', ["x"]),
        ('{"prompt": "x", "id": "a"}\n', '{"prompt": "x", "id": "b"}\n', ["x"]),
    ],
)
def test_what_is_left_goes_by_what_was_asked(out: Path, before: str, now: str, asked: list[str]) -> None:
    answered(out, before)
    assert left(out, now) == asked


def test_half_a_line_is_cut_off_and_asked_again(out: Path) -> None:
    answered(out, "one\ntwo\n")
    whole = out.read_bytes()
    out.write_bytes(whole[:-20])
    answers = Answers(out)
    assert answers.was_cut and [line.prompt for line in answers.left(lines_of("one\ntwo\n"))] == ["two"]
    answers.close()
    assert out.read_bytes() == whole.split(b"\n")[0] + b"\n"


KILLED = """
import os, signal, sys
from pathlib import Path
from runner.cli.batch_files import Answers

answers, write = Answers(Path(sys.argv[1])), os.write
def half(file, data):
    write(file, data[: len(data) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
os.write = half
answers.add({"id": "2", "asked": sys.argv[2], "text": "cut"})
"""


def test_a_kill_in_the_middle_of_a_line_loses_no_answer_and_leaves_the_file_free(out: Path) -> None:
    text = "one\ntwo\nthree\n"
    one, two, _ = lines_of(text)
    answered(out, "one\n")
    first = out.read_bytes()
    done = subprocess.run([sys.executable, "-c", KILLED, str(out), two.asked], timeout=COMMAND_S, check=False)
    assert done.returncode == -signal.SIGKILL
    assert out.read_bytes().startswith(first + b'{"id": "2", "asked"') and not out.read_bytes().endswith(b"\n")
    assert left(out, text) == ["two", "three"] and out.read_bytes() == first
    assert json.loads(first)["asked"] == one.asked


@pytest.mark.parametrize(("kind", "asked"), [(PromptTooLong, []), (OSError, ["one"])])
def test_what_would_fail_again_is_not_asked_again(out: Path, kind: type[Exception], asked: list[str]) -> None:
    answered(out, "one\n", kind.__name__)
    assert left(out, "one\n") == asked
    answers = Answers(out)
    assert answers.failed(lines_of("one\none\n")) == 1 - len(asked), "and is no success either"
    answers.close()


def test_lines_that_answer_something_else_are_counted_and_stay(out: Path) -> None:
    out.write_text('not json\n["list"]\n{"text": "of another program"}\n')
    answers = Answers(out)
    assert answers.others(lines_of("one\n")) == 3
    answers.close()
    assert out.read_text().startswith("not json\n")


def test_two_do_not_write_one_file(out: Path) -> None:
    first = Answers(out)
    with pytest.raises(UsageError, match="Another localrun is writing"):
        Answers(out)
    first.close()
    Answers(out).close()


def test_a_disk_that_is_full_for_a_moment_leaves_no_half_line(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, write = Answers(out), os.write
    answers.add({"text": "one"})
    room = [10, 0]

    def nearly_full(file: int, data: bytes) -> int:
        if not (size := room.pop(0)):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data[:size])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", nearly_full)
        with pytest.raises(OSError, match="No space left"):
            answers.add({"text": "two"})
    answers.add({"text": "three"})
    answers.close()
    assert [json.loads(line)["text"] for line in out.read_text().splitlines()] == ["one", "three"]


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: Is a directory"):
        Answers(tmp_path)
