"""Without a screen: one answer, or a chat line by line."""

from __future__ import annotations

import signal
import sys

from models.errors import ExitCode
from runner.cli.load import open_model
from runner.cli.options import Options
from runner.cli.output import Output
from runner.cli.prompt import opening, readable, sampling_of
from runner.cli.turn import Outcome, Show, as_json_lines, as_text, take_turn, unseen
from runner.client.session import EngineSession
from runner.report.comparison import stats_lines
from runner.report.turn import after_turn
from runner.service.service import LocalService
from runner.types.generation import Message


def one_answer(service: LocalService, options: Options, output: Output, prompt: str) -> ExitCode:
    """One answer to stdout, as text, JSON or JSON lines."""
    sampling = sampling_of(options, service)
    session = open_model(service, options, output)
    answer = take_turn(session, opening(options, prompt), sampling, _show(options, output))
    if options.json or options.jsonl:
        output.json(answer.json(session))
    else:
        _end_line(answer, output)
    _tell(session, answer, options, output)
    return answer.exit_code


def _show(options: Options, output: Output) -> Show:
    if options.jsonl:
        return as_json_lines(output)
    return unseen(output) if options.json else as_text(output)


def _end_line(answer: Outcome, output: Output) -> None:
    if answer.text and not answer.text.endswith("\n"):
        output.answer("\n")


def _tell(session: EngineSession, answer: Outcome, options: Options, output: Output) -> None:
    """The numbers that were asked for, and why it failed."""
    if options.stats:
        for line in stats_lines(session, answer.last):
            output.note(line)
    if answer.error is not None:
        output.error(str(answer.error))


def chat(service: LocalService, options: Options, output: Output) -> ExitCode:
    """A conversation line by line (--plain); an empty line is ignored, the end of input ends it.

    A turn that fails takes its question back, unless it has said something; the code is that of the last turn.
    """
    session = open_model(service, options, output)
    messages = opening(options)
    sampling = sampling_of(options, service)
    code = ExitCode.OK
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    output.note("End with Ctrl-D; Ctrl-C stops an answer.")
    while (line := _next_line(output)) is not None:
        if not line.strip():
            continue
        messages.append(Message("user", line))
        answer = take_turn(session, messages, sampling, as_text(output))
        _end_line(answer, output)
        _tell(session, answer, options, output)
        code = ExitCode.OK if answer.error is None else answer.error.exit_code
        if answer.error is not None and not answer.text:
            messages.pop()
            continue
        messages.append(Message("assistant", answer.text, answer.reasoning or None))
        if not options.stats and answer.error is None:
            output.note(after_turn(answer.last, session.loaded.ctx))
    return code


def _end(number: int, _frame: object) -> None:
    """In order: readline has the terminal in a state of its own, and gives it back."""
    sys.exit(128 + number)


def _next_line(output: Output) -> str | None:
    if output.out_is_terminal and sys.stdin.isatty():
        if output.escapes:
            import readline  # noqa: F401  (history and editing for input(); it switches bracketed paste)

        try:
            return readable(input("> "), output)
        except EOFError:
            return None
    line = sys.stdin.readline()
    return readable(line.rstrip("\n"), output) if line else None
