"""What is kept of loads and turns on disk."""

import json
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.storage.history import add, read
from runner.types.drafts import Drafted, DraftKind
from runner.types.engine import ComponentBytes
from runner.types.measurement import Guessed, Measurement
from tests.support.waiting import joined

NOW = 2_000_000_000.0
DAY = 24 * 3600.0
HELD = (ComponentBytes("CPU", 11, 22, 33),)


def measurements(*speeds: float, conditions: str = "c") -> list[Measurement]:
    return [Measurement(conditions, 4096, HELD, speed, 0.0, NOW) for speed in speeds]


def test_what_is_added_is_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "data" / "history.jsonl"
    assert read(path) == ()
    guessed = Guessed("large.gguf", "small.gguf", Drafted(DraftKind.MODEL, 9, 5, 1.2))
    kept = [*measurements(1.0, 2.0), replace(*measurements(3.0), guessed=guessed)]
    for one in kept:
        add(path, one)
    assert read(path, NOW) == tuple(kept)


def test_a_month_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    (one,) = measurements(1.0)
    add(path, one)
    assert len(read(path, NOW + 29 * DAY)) == 1
    assert read(path, NOW + 31 * DAY) == ()
    assert len(read(path, NOW - DAY)) == 1, "the clock was put back"
    assert read(path, NOW - 31 * DAY) == (), "it was wrong by years when this was written"


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
        line(guessed={"model": "m", "by": "d", "drafted": {"kind": "nobody", "drafted": 9}}).encode(),
        line(guessed={"model": "m", "by": "d", "drafted": {"kind": "mtp", "drafted": 9, "accepted": 10}}).encode(),
        line(at=None).encode(),
        line()[:-5].encode(),
    ],
)
def test_a_damaged_line_costs_only_itself(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "history.jsonl"
    first, second, third = measurements(1.0, 2.0, 3.0)
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
    (one,) = measurements(1.0)
    for number in range(620):
        add(path, replace(one, decode_tps=float(number)))
    speeds = [found.decode_tps for found in read(path, NOW)]
    assert len(speeds) <= 500 and speeds == sorted(speeds) and speeds[-1] == 619.0


def _add_many(path: Path, name: str) -> None:
    (one,) = measurements(1.0, conditions=name)
    for _ in range(100):
        add(path, one)


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    context = get_context("spawn")
    workers = [context.Process(target=_add_many, args=(path, name)) for name in ("Q4_0", "Q8_0")]
    for worker in workers:
        worker.start()
    joined(*workers)
    assert len(read(path, NOW)) == 200


def test_a_disk_that_refuses_costs_only_the_measurement(tmp_path: Path) -> None:
    (one,) = measurements(1.0)
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    add(blocked / "history.jsonl", one)
    assert read(blocked / "history.jsonl") == ()
