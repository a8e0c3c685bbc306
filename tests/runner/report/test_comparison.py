"""Measured beside planned and predicted."""

from dataclasses import replace

from runner.report.comparison import memory_table, speed_table, stats_lines
from runner.types.drafts import Drafted, DraftKind
from runner.types.engine import ComponentBytes, Loaded
from runner.types.generation import Chunk, Finish, Phase
from runner.types.plan import Guesses, Predicted
from runner.types.units import GIB, MIB
from scripts.draw.plans import expert_plan, large_plan
from scripts.draw.scripted import ScriptedSession

PREDICTED = Predicted(12.34, 567.8, 2048)
LAST = Chunk(
    Phase.DONE,
    prompt_tokens=400,
    prefilled=256,
    completion_tokens=7,
    ttft_s=0.123,
    prefill_tps=300.0,
    decode_tps=11.0,
    finish=Finish.STOP,
)


def squeezed(lines: list[str]) -> list[str]:
    return [" ".join(line.split()) for line in lines]


def test_a_short_prompt_says_nothing_about_prefill() -> None:
    """It is predicted for 512 tokens; a prompt of a few is slower per token by nature."""
    assert squeezed(speed_table(PREDICTED, LAST).lines()) == [
        "tok/s predicted measured",
        "decode 12.3 11.0",
        "prefill 568 300",
    ]
    short = speed_table(PREDICTED, replace(LAST, prefilled=255)).lines()
    assert squeezed(short) == ["tok/s predicted measured", "decode 12.3 11.0"]
    assert squeezed(speed_table(None, None).lines())[1:] == ["decode n/a n/a", "prefill n/a n/a"]


def test_what_guesses_gained_stands_apart_from_what_was_predicted_without_them() -> None:
    """Decode is held against its prediction a token at a time; that of a companion has a prediction of its own."""
    with_guesses = replace(LAST, draft=Drafted(DraftKind.MODEL, 20, 14, 1.25))
    expected = replace(PREDICTED, guesses=Guesses(DraftKind.MODEL, 0.55, 1.5, 4))
    assert squeezed(speed_table(expected, with_guesses).lines()) == [
        "tok/s predicted measured",
        "decode 12.3 8.8",
        "with guesses 18.5 11.0",
        "prefill 568 300",
    ]
    assert squeezed(speed_table(PREDICTED, with_guesses).lines())[2] == "with guesses n/a 11.0"
    first, *_ = stats_lines(ScriptedSession(expert_plan(), 0), with_guesses)
    assert "14 of 20 tokens guessed by the small model right, 1.25 × as fast" in first


def test_every_device_that_was_planned_or_holds_something_has_a_line() -> None:
    candidate = large_plan().candidates[3]
    held = (ComponentBytes("CUDA9", 0, 0, 5 * MIB), ComponentBytes("CPU", 2 * GIB, GIB + 512 * MIB, MIB))
    lines = memory_table(candidate, Loaded(8192, 1.5, held, "")).lines()
    assert squeezed(lines) == [
        "GiB, planned → held weights KV compute",
        "CUDA0 20.0 → n/a 1.2 → n/a 0.30 → n/a",
        "CUDA1 19.6 → n/a 1.2 → n/a 0.30 → n/a",
        "CUDA9 n/a → 0.0 n/a → 0.0 n/a → 0.00",
        "CPU 0.55 → 2.0 0.0 → 1.5 0.04 → 0.00",
    ]
    assert len(set(map(len, lines))) == 1 and len(lines[0]) <= 70


def test_statistics_are_a_turn_speeds_the_load_and_the_memory() -> None:
    session = ScriptedSession(expert_plan(), 0)
    lines = squeezed(list(stats_lines(session, LAST)))
    assert lines[:2] == [
        "7 tokens · 11.0 tok/s · first token 0.12 s · 400 prompt tokens read · complete",
        "prompt of 400 tokens",
    ]
    assert "loaded in 1.8 s, 12 threads" in lines and "CUDA0 20.4 → 20.4 0.90 → 0.90 0.23 → 0.23" in lines
    assert squeezed(list(stats_lines(session, None)))[0] == "tok/s predicted measured"
