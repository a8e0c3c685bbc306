"""What is kept of loads and turns, and what the next plan makes of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.storage.history import Entry, add, applied, conditions_of, corrected, entry_of, read
from runner.types.engine import ComponentBytes
from runner.types.generation import Chunk, Phase
from runner.types.machine import Machine
from runner.types.plan import Candidate, MemoryRow, ModelInfo, Placement, Plan, Predicted, Source, Verdict, Wish
from runner.types.reasons import FromHistory, Noted

NOW = 2_000_000_000.0
DAY = 24 * 3600.0
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


def entries(one: Candidate, *speeds: float, at: float = NOW, held: tuple[ComponentBytes, ...] = HELD) -> list[Entry]:
    assert one.placement is not None
    conditions = conditions_of(HERE, one, one.placement)
    return [Entry(conditions, one.placement.ctx, held, speed, 0.0, at) for speed in speeds]


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
    assert speed(corrected(one, HERE, entries(one, *measured))) == pytest.approx(expected)


def test_bytes_that_were_held_take_the_place_of_planned_ones() -> None:
    one = candidate("Q4_0", 8.0)
    found = corrected(one, HERE, entries(one, 0.0))
    assert found.memory == (MemoryRow("CPU", 11, 22, 33, 0, 1000),)
    assert found.confirmed_by is Source.HISTORY and found.predicted == one.predicted


def test_another_context_says_nothing_about_bytes() -> None:
    one = candidate("Q4_0", 8.0)
    found = corrected(candidate("Q4_0", 8.0, ctx=2048), HERE, entries(one, 4.0, 4.0, 4.0))
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
    known = entries(candidate("Q4_0", 8.0), 1.0, 1.0, 1.0)
    other = change(candidate("Q4_0", 8.0))
    assert corrected(other, HERE, known) == other


def test_named_hardware_has_no_history() -> None:
    one = candidate("Q4_0", 8.0)
    assert corrected(one, replace(HERE, source="named"), entries(one, 1.0, 1.0, 1.0)) == one
    assert corrected(one, replace(HERE, cpu_name="Another"), entries(one, 1.0, 1.0, 1.0)) == one


def test_the_choice_follows_what_was_measured_and_says_so() -> None:
    good, fast = candidate("Q6_K", 20.0, 6.6), candidate("Q4_K_M", 30.0, 4.9)
    before = plan(good, fast)
    after = applied(before, entries(good, 4.0, 4.0, 4.0), Wish())
    assert (before.chosen, after.chosen) == (0, 1)
    assert after.why == (FromHistory("Q4_K_M", 30.0, 4096),)
    same = applied(before, entries(good, 18.0, 18.0, 18.0), Wish())
    assert same.chosen == 0 and same.why == (FromHistory("Q6_K", 18.0, 4096),)
    assert applied(before, entries(fast, 33.0, 33.0, 33.0), Wish()).why == before.why
    assert applied(before, [], Wish()) == before


def test_a_plan_without_a_choice_stays_without_one() -> None:
    one = replace(candidate("Q4_0", 8.0), verdict=Verdict.NO)
    assert applied(plan(one, chosen=None), entries(one, 1.0), Wish()).chosen is None


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
    found = entry_of(HERE, one, one.placement, HELD, last)
    assert (found.decode_tps, found.prefill_tps, found.ctx, found.measured) == (decode, prefill, 4096, HELD)


# ---- the file


def test_what_is_added_is_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "data" / "history.jsonl"
    assert read(path) == ()
    kept = entries(candidate("Q4_0", 8.0), 1.0, 2.0, 3.0)
    for entry in kept:
        add(path, entry)
    assert read(path, NOW) == tuple(kept)


def test_a_month_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    (entry,) = entries(candidate("Q4_0", 8.0), 1.0)
    add(path, entry)
    assert len(read(path, NOW + 29 * DAY)) == 1
    assert read(path, NOW + 31 * DAY) == ()


def line(**changes: object) -> str:
    good = {
        "conditions": "c",
        "ctx": 1,
        "measured": [{"device": "CPU", "weights": 1, "kv": 1, "compute": 1}],
        "at": NOW,
    }
    return json.dumps({**good, **changes})


@pytest.mark.parametrize(
    "damage",
    [
        b"\xff\xfe\x00",
        b"{",
        b"[]",
        b"null",
        b"[" * 5000,
        line(decode_tps="fast").encode(),
        line(decode_tps=float("nan")).encode(),
        line(prefill_tps=-1).encode(),
        line(measured=[{"device": "CPU"}]).encode(),
        line(measured=3).encode(),
        line(at=None).encode(),
        line()[:-5].encode(),
    ],
)
def test_a_damaged_line_costs_only_itself(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "history.jsonl"
    first, second, third = entries(candidate("Q4_0", 8.0), 1.0, 2.0, 3.0)
    add(path, first)
    with path.open("ab") as file:
        file.write(damage + b"\n")
    add(path, second)
    with path.open("ab") as file:
        file.write(damage)  # and one that a killed process has not ended
    add(path, third)
    assert read(path, NOW) == (first, second, third)


@given(st.binary(max_size=400))
def test_any_bytes_can_be_read(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(data)
    assert isinstance(read(path, NOW), tuple)


def test_the_file_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    (entry,) = entries(candidate("Q4_0", 8.0), 1.0)
    for number in range(620):
        add(path, replace(entry, decode_tps=float(number)))
    speeds = [found.decode_tps for found in read(path, NOW)]
    assert len(speeds) <= 500 and speeds == sorted(speeds) and speeds[-1] == 619.0


def _add_many(path: Path, name: str) -> None:
    (entry,) = entries(candidate(name, 8.0), 1.0)
    for _ in range(100):
        add(path, entry)


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    context = get_context("spawn")
    workers = [context.Process(target=_add_many, args=(path, name)) for name in ("Q4_0", "Q8_0")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(read(path, NOW)) == 200


def test_a_disk_that_refuses_costs_only_the_entry(tmp_path: Path) -> None:
    (entry,) = entries(candidate("Q4_0", 8.0), 1.0)
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    add(blocked / "history.jsonl", entry)
    assert read(blocked / "history.jsonl") == ()
