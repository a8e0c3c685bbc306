"""One turn of a loaded model: its chunks shown as they come, and gathered."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any, Protocol

from models.errors import EngineError, ExitCode, LocalrunError
from runner.cli.output import Output
from runner.report.turn import prefill_line
from runner.service.schema import check_answer
from runner.types.generation import Chunk, Finish, Message, Phase, TokenLogprobs
from runner.types.sampling import Sampling
from runner.types.tools import ToolCall, with_delta
from runner.types.tools_json import calls_json

if TYPE_CHECKING:
    from runner.types.service import Session

Show = Callable[[Chunk], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a turn has said so far, with the `sampling` asked. One that fails leaves what was said, and the `error`."""

    text: str = ""
    reasoning: str = ""
    last: Chunk = Chunk(Phase.DONE)  # noqa: RUF009
    error: LocalrunError | None = None
    sampling: Sampling = Sampling()  # noqa: RUF009
    logprobs: tuple[TokenLogprobs, ...] = ()
    calls: tuple[ToolCall, ...] = ()

    def with_chunk(self, chunk: Chunk) -> Outcome:
        """The turn, one step on."""
        text, reasoning = chunk.behind(self.text, self.reasoning)
        calls, logprobs = reduce(with_delta, chunk.calls, self.calls), self.logprobs + chunk.logprobs
        return replace(self, text=text, reasoning=reasoning, last=chunk, calls=calls, logprobs=logprobs)

    @property
    def exit_code(self) -> ExitCode:
        """How the command ends after this turn."""
        if self.error is not None:
            return self.error.exit_code
        if self.last.finish is Finish.LENGTH and self.reasoning and not self.text:
            return ExitCode.ENGINE  # it has thought and said nothing
        return ExitCode.INTERRUPTED if self.last.finish is Finish.INTERRUPTED else ExitCode.OK

    def json(self, session: Session) -> dict[str, Any]:
        """The contract's object."""
        from runner.report import contract

        failed = contract.error_json(self.error) if self.error else {}
        said = contract.answer_json(self.text, self.reasoning, self.last, session, self.sampling, self.logprobs)
        return {**said, "tool_calls": calls_json(self.calls) or None, **failed}


def take_turn(session: Session, messages: Sequence[Message], sampling: Sampling, show: Show) -> Outcome:
    """Answer the conversation; the first Ctrl-C ends the turn and keeps what was said, and so does an error.

    One that does not fit the form it was asked for is an error too, and so is one that was cut before it did.
    """
    with stopping(session):
        return gathered(session.generate(messages, sampling), sampling, show)


def gathered(chunks: Iterable[Chunk], sampling: Sampling, show: Show) -> Outcome:
    """The same in any thread, where nobody sees to Ctrl-C."""
    answer = Outcome(sampling=sampling)
    try:
        for chunk in chunks:
            answer = answer.with_chunk(chunk)
            show(chunk)
        _check_form(answer)
    except LocalrunError as error:
        answer = replace(answer, last=replace(answer.last, finish=Finish.ERROR), error=error)
    return answer


def _check_form(answer: Outcome) -> None:
    """EngineError where a whole answer does not fit its schema, or one that was cut is not what it was held to."""
    asked, last = answer.sampling, answer.last
    if asked.schema is not None and last.finish in (Finish.STOP, Finish.LENGTH):
        check_answer(answer.text, asked.schema, is_cut=last.finish is Finish.LENGTH)
    elif asked.grammar is not None and last.is_incomplete:
        raise EngineError("The answer was cut before it was whole: with more tokens it may fit the grammar or choices.")


class Stoppable(Protocol):
    """What can be under way."""

    def stop(self) -> None:
        """End it soon."""


@contextmanager
def stopping(running: Stoppable) -> Iterator[None]:
    """The first Ctrl-C stops what runs; a second one ends the program."""

    def interrupt(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        running.stop()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def as_text(output: Output) -> Show:
    """The answer on stdout, the thinking on stderr."""

    def show(chunk: Chunk) -> None:
        tell_aside(chunk, output)
        output.thinking(chunk.reasoning)
        output.answer(chunk.text)

    return show


def as_json_lines(output: Output) -> Show:
    """An object a piece."""

    def show(chunk: Chunk) -> None:
        tell_aside(chunk, output)
        if chunk.says_something:
            from runner.report.contract import delta_json

            output.json(delta_json(chunk))

    return show


def unseen(output: Output) -> Show:
    """Only what is no part of the answer, which follows as a whole."""
    return lambda chunk: tell_aside(chunk, output)


def tell_aside(chunk: Chunk, output: Output) -> None:
    """What is no part of the answer, on stderr."""
    for sentence in chunk.notes:
        output.note_once(sentence)
    if chunk.happened:
        output.warn(chunk.happened)
    elif not chunk.completion_tokens and (line := prefill_line(chunk)):
        output.progress(line)
