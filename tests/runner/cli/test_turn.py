"""One turn of a model, shown and gathered, where memory runs out on the way."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from models.errors import DoesNotFit, ExitCode
from runner.cli.output import Output
from runner.cli.turn import Outcome, Show, as_json_lines, as_text, gathered, take_turn, unseen
from runner.client.session import EngineSession
from runner.types.generation import Chunk, Finish, LikelyToken, Message, Phase, TokenLogprobs
from runner.types.sampling import Sampling

PREFILL = Chunk(Phase.PREFILL, prompt_tokens=400, prefilled=200)
SAID = Chunk(Phase.DECODE, text="The sea ", completion_tokens=2)
NOTE = "Out of memory while answering."


class Turn(EngineSession):
    """A turn that goes on with less, and may end with an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def generate(self, *_asked: object, **_more: object) -> Iterator[Chunk]:  # type: ignore[override]
        """Words, a note, the prompt once more, the rest."""
        yield from (PREFILL, SAID, replace(SAID, text="", happened=NOTE), replace(PREFILL, completion_tokens=2))
        if self._error:
            raise self._error
        yield Chunk(Phase.DONE, text="is blue.", completion_tokens=4, finish=Finish.STOP)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("show", "out"),
    [
        (as_text, "The sea is blue."),
        (as_json_lines, json.dumps({"delta": "The sea "}) + "\n" + json.dumps({"delta": "is blue."}) + "\n"),
        (unseen, ""),
    ],
)
def test_the_note_is_said_once_beside_the_answer(show: Callable[[Output], Show], out: str) -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    answer = take_turn(Turn(), [Message("user", "Hi")], Sampling(), show(Output(stdout, stderr)))
    assert (answer.text, answer.exit_code, answer.last.completion_tokens) == ("The sea is blue.", ExitCode.OK, 4)
    assert (stdout.getvalue(), stderr.getvalue()) == (out, f"{NOTE}\n")


def test_reading_the_prompt_again_draws_nothing_over_the_answer() -> None:
    stdout, stderr = Terminal(), Terminal()
    take_turn(Turn(), [Message("user", "Hi")], Sampling(), as_text(Output(stdout, stderr)))
    assert stderr.getvalue().endswith(f"\n{NOTE}\n")


def test_where_nothing_smaller_fits_what_was_said_stays_and_the_code_is_5() -> None:
    turn = Turn(DoesNotFit("4 placements ran out of memory."))
    answer = take_turn(turn, [Message("user", "Hi")], Sampling(), unseen(Output(io.StringIO(), io.StringIO())))
    assert (answer.text, answer.exit_code) == ("The sea ", ExitCode.DOES_NOT_FIT)
    assert answer.last.finish is Finish.ERROR and isinstance(answer.error, DoesNotFit)


@pytest.mark.parametrize(("text", "code"), [("12", ExitCode.ENGINE), ("{}", ExitCode.OK), ('{"a', ExitCode.ENGINE)])
def test_an_answer_that_is_cut_before_it_fits_its_schema_has_failed(text: str, code: ExitCode) -> None:
    cut = Chunk(Phase.DONE, text=text, completion_tokens=1, finish=Finish.LENGTH)
    assert gathered([cut], Sampling(schema='{"maximum": 99}'), lambda _chunk: None).exit_code == code
    assert gathered([cut], Sampling(), lambda _chunk: None).exit_code == ExitCode.OK


def test_an_answer_that_is_cut_before_its_grammar_ends_has_failed() -> None:
    cut = Chunk(Phase.DONE, text="ye", completion_tokens=1, finish=Finish.LENGTH, is_incomplete=True)
    answer = gathered([cut], Sampling(grammar='root ::= "yes"'), lambda _chunk: None)
    assert (answer.text, answer.last.finish, answer.exit_code) == ("ye", Finish.ERROR, ExitCode.ENGINE)
    assert gathered([cut], Sampling(), lambda _chunk: None).exit_code == ExitCode.OK, "calls have grammars of their own"


def test_logprobs_are_gathered_over_the_chunks() -> None:
    told = [TokenLogprobs(LikelyToken(number, "", (), -1.0)) for number in range(3)]
    whole = Outcome().with_chunk(replace(SAID, logprobs=tuple(told[:2]))).with_chunk(SAID)
    assert whole.with_chunk(replace(SAID, logprobs=(told[2],))).logprobs == tuple(told)


def test_what_was_said_may_turn_out_to_be_thinking() -> None:
    chunks = (SAID, replace(SAID, text="yes", reasoning="is blue", recast=True))
    answer = Outcome()
    for chunk in chunks:
        answer = answer.with_chunk(chunk)
    assert (answer.text, answer.reasoning) == ("yes", "The sea is blue")


@pytest.mark.parametrize(
    ("text", "reasoning", "finish", "code"),
    [
        ("", "Hm", Finish.LENGTH, ExitCode.ENGINE),
        ("Yes", "Hm", Finish.LENGTH, ExitCode.OK),
        ("", "Hm", Finish.STOP, ExitCode.OK),
        ("", "", Finish.LENGTH, ExitCode.OK),
    ],
)
def test_thinking_that_fills_all_the_room_is_no_success(
    text: str, reasoning: str, finish: Finish, code: ExitCode
) -> None:
    assert Outcome(text, reasoning, Chunk(Phase.DONE, finish=finish)).exit_code is code
