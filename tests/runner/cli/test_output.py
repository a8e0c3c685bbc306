"""What reaches a terminal, a pipe, nobody."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from runner.cli.output import Output
from runner.report.table import Table


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


Streams = Callable[[], tuple[Output, io.StringIO, io.StringIO]]


def on_terminals() -> tuple[Output, io.StringIO, io.StringIO]:
    out, err = Terminal(), Terminal()
    return Output(out, err), out, err


def on_pipes() -> tuple[Output, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return Output(out, err), out, err


def test_a_model_cannot_draw_on_the_terminal() -> None:
    output, out, err = on_terminals()
    output.answer("red \x1b[31mtext\x07\r\u202e")
    output.thinking("\x1b]0;title\x07")
    assert out.getvalue() == "red \u241b[31mtext\u2407\u240d⟨202E⟩"
    assert "\x1b]0" not in err.getvalue()


def test_a_pipe_gets_the_answer_as_it_is_and_no_escapes_of_ours() -> None:
    output, out, err = on_pipes()
    output.progress("Loading 50%")
    output.progress("a file, done", final=True)
    output.thinking("hm")
    output.answer("a\x00b")
    output.note("noted")
    output.error("failed")
    assert out.getvalue() == "a\x00b"
    assert err.getvalue() == "a file, done\nnoted\nlocalrun: failed\n"


def test_what_every_turn_would_say_is_said_once() -> None:
    output, _, err = on_pipes()
    for _ in range(2):
        output.note_once("folded")
        output.note("noted")
    assert err.getvalue() == "folded\nnoted\nnoted\n"


@pytest.mark.parametrize("streams", [on_terminals, on_pipes])
@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_escape_where_none_is_wanted_or_understood(
    streams: Streams, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    output, out, err = streams()
    output.note("noted")
    output.error("failed")
    output.thinking("hm")
    output.progress("Loading 50%")
    output.answer("Hi")
    output.progress("Loaded", final=True)
    output.table(Table(("a", "b"), [("1", "2")]))
    assert "\x1b" not in out.getvalue() + err.getvalue()


def test_a_quoted_name_begins_no_line_of_its_own() -> None:
    output, _, err = on_pipes()
    for say in (output.note, output.warn, output.error):
        say("no such file: a\nlocalrun: all is well\u2028\u061c\U000e0041")
    lines = err.getvalue().split("\n")
    assert len(lines) == 4 and all(line.endswith("a␊localrun: all is well⟨2028⟩⟨061C⟩⟨E0041⟩") for line in lines[:3])


def test_the_progress_line_gives_way() -> None:
    output, out, err = on_terminals()
    output.progress("Loading 50%")
    output.answer("Hi")
    assert out.getvalue() == "Hi"
    assert err.getvalue().endswith("Loading 50%\r\x1b[2K")


def test_thinking_ends_with_its_own_line() -> None:
    output, _, err = on_terminals()
    output.thinking("hm")
    output.answer("Hi")
    assert err.getvalue().endswith("\n")


def test_a_listener_that_left_does_not_cost_the_answer() -> None:
    output, out, err = on_pipes()
    err.close()
    output.note("nobody hears this")
    output.answer("Hi")
    assert out.getvalue() == "Hi"


def test_a_warning_never_goes_on_with_the_answers_line() -> None:
    output, out, err = on_terminals()
    output.answer("The sea ")
    output.warn("Out of memory.")
    output.answer("is blue.\n")
    output.warn("Again.")
    assert (out.getvalue(), err.getvalue()) == ("The sea is blue.\n", "\nOut of memory.\nAgain.\n")
    output, _, err = on_pipes()
    output.answer("The sea ")
    output.warn("Out of memory.")
    assert err.getvalue() == "Out of memory.\n"
