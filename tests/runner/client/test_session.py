"""The way down: placements that llama.cpp cannot allocate, and an engine that is killed, on the real small model."""

import os
import resource
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import BadFile, EngineError, OutOfMemory
from models.headers.shape import ModelShape, shape_of
from models.stores.header_files import read_header
from runner.client.process import EngineProcess
from runner.client.session import EngineSession, load
from runner.planning.fallback import lower_placements
from runner.types.engine import LoadProgress
from runner.types.generation import Chunk, Finish, Message
from runner.types.machine import Machine
from runner.types.plan import Candidate, ModelInfo, Placement, Plan, Source, Verdict, Wish
from runner.types.sampling import Sampling
from tests.support.planner import gpu, machine

SMALL = Placement((), 0, 31, (), 512, threads=1, load_mode="none")
HUGE = replace(SMALL, ctx=1 << 20)  # 22.5 GiB of KV cache
ROOM = 8 << 30
HERE = Machine("probe", (), 8 << 30, 8 << 30, 40e9, 2)
INFO = ModelInfo("smollm2", "llama", 135_000_000, 30, 0, 0, 8192)


def loaded(child: EngineProcess, path: Path, ladder: Sequence[Placement] | Iterator[Placement]) -> EngineSession:
    resource.prlimit(child.pid, resource.RLIMIT_AS, (ROOM, ROOM))
    one = Candidate("Q4_1", (path.name,), 1, 5.0, 0, Verdict.CPU, SMALL, (), None, Source.FORMULA)
    *steps, session = load(child, Plan(INFO, HERE, (one,), 0, ()), one, path, ladder)
    assert all(isinstance(step, LoadProgress) for step in steps)
    assert isinstance(session, EngineSession)
    return session


def rehearsed(child: EngineProcess, path: Path, placement: Placement) -> list[tuple[str, int, int, int]]:
    (said,) = child.ask("rehearse", path=str(path), placements=[placement])
    return [(row["device"], row["weights"], row["kv"], row["compute"]) for row in said["buffers"]]


def test_what_cannot_be_allocated_leads_to_the_next_rung_and_is_told(child: EngineProcess, smollm2: Path) -> None:
    session = loaded(child, smollm2, [HUGE, replace(HUGE, kv_type="q8_0"), SMALL])
    assert (session.placement, session.loaded.ctx) == (SMALL, 512)
    assert len(session.loaded.notes) == 2
    assert all(note.endswith("The next smaller placement is tried.") for note in session.loaded.notes)


def test_a_ladder_without_a_rung_that_holds_ends_in_its_last_failure(child: EngineProcess, smollm2: Path) -> None:
    with pytest.raises(OutOfMemory):
        loaded(child, smollm2, [HUGE])


def test_an_engine_that_is_killed_is_replaced_by_a_fresh_one(child: EngineProcess, smollm2: Path) -> None:
    killed = []

    def ladder() -> Iterator[Placement]:
        os.kill(child.pid, signal.SIGKILL)
        killed.append(child.pid)
        yield HUGE
        yield SMALL

    session = loaded(child, smollm2, ladder())
    assert child.pid not in killed
    assert "killed, perhaps for want of memory" in session.loaded.notes[0]
    last = list(session.generate([Message("user", "Hi")], Sampling(temperature=0, max_tokens=4)))[-1]
    assert last.completion_tokens > 0


def test_an_engine_that_dies_on_every_rung_is_an_error(child: EngineProcess, smollm2: Path) -> None:
    def ladder() -> Iterator[Placement]:
        for placement in (HUGE, SMALL):
            os.kill(child.pid, signal.SIGKILL)
            yield placement

    with pytest.raises(EngineError, match="killed"):
        loaded(child, smollm2, ladder())
    assert child.is_alive()


def test_a_file_that_is_none_needs_no_second_try(child: EngineProcess, tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF, but not really")
    tried = []

    def ladder() -> Iterator[Placement]:
        for placement in (SMALL, replace(SMALL, ctx=256)):
            tried.append(placement)
            yield placement

    with pytest.raises(BadFile):
        loaded(child, path, ladder())
    assert tried == [SMALL]


def test_a_fresh_engine_is_prepared_like_the_one_before(tmp_path: Path, smollm2: Path) -> None:
    child = EngineProcess(tmp_path / "log")
    try:
        one, two = child.prepare("standins", count=2)
        assert child.prepare("standins", count=2) == [one, two]
        on_both = Placement((one, two), 31, 31, (15, 16), 512)
        before = rehearsed(child, smollm2, on_both)
        os.kill(child.pid, signal.SIGKILL)
        child.restart()
        assert rehearsed(child, smollm2, on_both) == before
        assert {device for device, *_ in before} == {one, two, "CPU"}
        assert [device["id"] for device in child.ask("devices")["devices"]] == ["CPU"]  # nobody takes them for real
    finally:
        child.close()


def test_the_end_of_every_turn_is_heard(child: EngineProcess, smollm2: Path) -> None:
    session = loaded(child, smollm2, [SMALL])
    heard: list[Chunk] = []
    session.ended = heard.append
    turns = [list(session.generate((), Sampling(max_tokens=n), raw="One two", ignore_end=True)) for n in (2, 3)]
    assert heard == [turn[-1] for turn in turns]
    assert [last.finish for last in heard] == [Finish.LENGTH, Finish.LENGTH]


# ---- which rungs there are


@pytest.fixture(scope="module")
def small(smollm2: Path) -> ModelShape:
    return shape_of([read_header(smollm2)])


def test_each_rung_needs_less(small: ModelShape) -> None:
    card = machine(gpu(1.4), ram=16)
    rungs = list(lower_placements(small, card, Wish(), SMALL))
    assert rungs[0] == SMALL and len(set(rungs)) == len(rungs) > 2
    needs = [(rung.gpu_layers, rung.ctx) for rung in rungs[1:]]
    assert needs == sorted(needs, reverse=True)


def test_what_was_wished_stays_on_every_rung(small: ModelShape) -> None:
    wish = Wish(ctx=8192, kv_type="q8_0")
    first = replace(SMALL, ctx=8192, kv_type="q8_0")
    rungs = list(lower_placements(small, machine(gpu(1.4), ram=16), wish, first))
    assert {(rung.ctx, rung.kv_type) for rung in rungs} == {(8192, "q8_0")}


def test_nothing_smaller_is_made_up(small: ModelShape) -> None:
    assert list(lower_placements(small, machine(ram=1.2), Wish(), SMALL)) == [SMALL]
