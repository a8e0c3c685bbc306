"""What the next plan makes of earlier loads and turns."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from runner.planning.experience import applied, conditions_of, corrected, habits_of, measurement_of, turn_of
from runner.types.engine import ComponentBytes
from runner.types.exchange import Exchange, Wait
from runner.types.generation import Chunk, Phase
from runner.types.machine import Machine
from runner.types.measurement import Measurement
from runner.types.placement import Placement
from runner.types.plan import Candidate, MemoryRow, ModelInfo, Plan, Predicted, Source, Verdict
from runner.types.reasons import FromHistory, Noted, Taken

NOW = 2_000_000_000.0
HERE = Machine("probe", (), 32 << 30, 30 << 30, 40e9, 8, "Some CPU")
HELD = (ComponentBytes("CPU", 11, 22, 33),)


def candidate(quant: str, speed: float, bits: float = 5.0, ctx: int = 4096) -> Candidate:
    return Candidate(
        quant=quant,
        files=(f"m-{quant}.gguf",),
        file_bytes=int(bits * 1e9),
        bits_per_weight=bits,
        download_bytes=0,
        verdict=Verdict.CPU,
        placement=Placement((), 0, 31, (), ctx, threads=7),
        memory=(MemoryRow("CPU", 10, 20, 30, 0, 1000),),
        predicted=Predicted(speed, 10 * speed, 2048),
        confirmed_by=Source.REHEARSAL,
    )


def plan(*candidates: Candidate, chosen: int | None = 0) -> Plan:
    return Plan(ModelInfo("m", "llama", 8, 30, 0, 0, 8192), HERE, candidates, chosen, (Noted("because"),))


def measurements(one: Candidate, *speeds: float) -> list[Measurement]:
    assert one.placement is not None
    conditions = conditions_of(HERE, one, one.placement)
    return [Measurement(conditions, one.placement.ctx, HELD, speed, 0.0, NOW) for speed in speeds]


def speed(one: Candidate) -> float:
    assert one.predicted is not None
    return one.predicted.decode_tps


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ((), 8.0),
        ((0.0, 0.0), 8.0),  # loads without a turn
        ((2.0,), 4.0),  # one busy moment counts half
        ((2.0, 2.0), 4.0),
        ((2.0, 9.0, 10.0), 9.0),
        ((2.0, 2.0, 2.0), 2.0),
        ((1.0, 1.0, 1.0, 10.0, 10.0, 10.0, 10.0), 10.0),  # five count, so a busy hour is forgotten
        ((0.0, 5.0, 0.0, 6.0, 0.0, 7.0, 0.0, 0.0, 0.0), 6.0),
    ],
)
def test_speeds_that_were_measured(measured: tuple[float, ...], expected: float) -> None:
    one = candidate("Q4_0", 8.0)
    assert speed(corrected(one, HERE, measurements(one, *measured))) == pytest.approx(expected)


def test_bytes_that_were_held_take_the_place_of_planned_ones() -> None:
    one = candidate("Q4_0", 8.0)
    found = corrected(one, HERE, measurements(one, 0.0))
    assert found.memory == (MemoryRow("CPU", 11, 22, 33, 0, 1000),)
    assert found.confirmed_by is Source.HISTORY and found.predicted == one.predicted


def test_another_context_says_nothing_about_bytes() -> None:
    one = candidate("Q4_0", 8.0)
    found = corrected(candidate("Q4_0", 8.0, ctx=2048), HERE, measurements(one, 4.0, 4.0, 4.0))
    assert found.memory == one.memory and found.confirmed_by is Source.REHEARSAL
    assert speed(found) == 4.0


OTHERS: list[Callable[[Candidate], Candidate]] = [
    lambda one: replace(one, quant="Q8_0"),
    lambda one: replace(one, file_bytes=one.file_bytes + 1),
    lambda one: replace(one, files=("other.gguf",)),
    lambda one: replace(one, verdict=Verdict.NO),
    lambda one: replace(one, placement=None),
    lambda one: replace(one, placement=Placement((), 0, 31, (), 4096, threads=3)),
    lambda one: replace(one, placement=Placement((), 0, 31, (), 4096, threads=7, kv_type="q8_0")),
]


@pytest.mark.parametrize("change", OTHERS)
def test_other_conditions_do_not_count(change: Callable[[Candidate], Candidate]) -> None:
    known = measurements(candidate("Q4_0", 8.0), 1.0, 1.0, 1.0)
    other = change(candidate("Q4_0", 8.0))
    assert corrected(other, HERE, known) == other


def test_named_hardware_has_no_history() -> None:
    one = candidate("Q4_0", 8.0)
    assert corrected(one, replace(HERE, source="named"), measurements(one, 1.0, 1.0, 1.0)) == one
    assert corrected(one, replace(HERE, cpu_name="Another"), measurements(one, 1.0, 1.0, 1.0)) == one


def test_the_choice_follows_what_was_measured_and_says_so() -> None:
    good, fast = candidate("Q6_K", 20.0, 6.6), candidate("Q4_K_M", 30.0, 4.9)
    before = plan(good, fast)
    after = applied(before, measurements(good, 4.0, 4.0, 4.0))
    assert (before.chosen, after.chosen) == (0, 1)
    assert after.why == (Taken("Q4_K_M", 30.0, 4096, FromHistory()),)
    same = applied(before, measurements(good, 18.0, 18.0, 18.0))
    assert same.chosen == 0 and same.why == (Taken("Q6_K", 18.0, 4096, FromHistory()),)
    assert applied(before, measurements(fast, 33.0, 33.0, 33.0)).why == before.why
    assert applied(before, []) == before


def test_a_plan_without_a_choice_stays_without_one() -> None:
    one = replace(candidate("Q4_0", 8.0), verdict=Verdict.NO)
    assert applied(plan(one, chosen=None), measurements(one, 1.0)).chosen is None


@pytest.mark.parametrize(
    ("last", "decode", "prefill"),
    [
        (None, 0.0, 0.0),
        (Chunk(Phase.DONE, completion_tokens=31, decode_tps=9.0, prefilled=255, prefill_tps=90.0), 0.0, 0.0),
        (Chunk(Phase.DONE, completion_tokens=32, decode_tps=9.0, prefilled=8, prefill_tps=90.0), 9.0, 0.0),
        (Chunk(Phase.DONE, completion_tokens=1, prefilled=256, prefill_tps=90.0), 0.0, 90.0),
    ],
)
def test_a_short_turn_tells_no_speed(last: Chunk | None, decode: float, prefill: float) -> None:
    one = candidate("Q4_0", 8.0)
    assert one.placement is not None
    found = measurement_of(HERE, one, one.placement, HELD, last, NOW)
    assert (found.decode_tps, found.prefill_tps, found.ctx, found.measured, found.at) == (
        decode,
        prefill,
        4096,
        HELD,
        NOW,
    )


def test_turns_are_habits_and_loads_are_not() -> None:
    last = Chunk(Phase.DONE, prompt_tokens=900, cached_tokens=600, completion_tokens=80)
    assert turn_of(last) == Exchange(600, 300, 80)
    assert turn_of(replace(last, completion_tokens=0)) is None
    load = Measurement("m", 4096, HELD, at=NOW)
    turns = [replace(load, turn=Exchange(0, tokens, 10)) for tokens in range(1, 101)]
    assert habits_of([load, *turns, load]) == tuple(turn.turn for turn in turns[-60:])


def test_a_wait_goes_by_what_was_measured() -> None:
    waiting = replace(candidate("Q4_K_M", 10.0), wait=Wait((), prompt_s=2.0, answer_s=30.0))
    placement = waiting.placement
    assert placement is not None
    conditions = conditions_of(HERE, waiting, placement)
    turns = [Measurement(conditions, 4096, HELD, decode_tps=20.0, prefill_tps=50.0, at=NOW)] * 3
    assert corrected(waiting, HERE, turns).wait == Wait((), prompt_s=4.0, answer_s=15.0)
