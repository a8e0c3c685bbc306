"""The way down: placements that llama.cpp cannot allocate, and an engine that is killed, on the real small model."""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import BadFile, DeviceLost, EngineError, EngineKilled, OutOfMemory
from models.headers.shape import ModelShape, shape_of
from models.stores.header_files import read_header
from runner.client.process import EngineProcess
from runner.client.session import EngineSession, load
from runner.planning.fallback import lower_placements
from runner.types.codec import pack
from runner.types.commands import Devices, Rehearse, StandIns
from runner.types.engine import ComponentBytes, LoadProgress
from runner.types.generation import Chunk, Finish, Message
from runner.types.machine import Machine
from runner.types.pipe import LastWords
from runner.types.placement import Placement
from runner.types.plan import Candidate, ModelInfo, Plan, Source, Verdict
from runner.types.sampling import Sampling
from runner.types.wish import Wish
from tests.support.planner import gpu, machine

SMALL = Placement((), 0, 31, (), 512, threads=1, load_mode="none")
HUGE = replace(SMALL, ctx=1 << 20)  # 22.5 GiB of KV cache
ROOM = 8 << 30
HERE = Machine("probe", (), 8 << 30, 8 << 30, 40e9, 2)
INFO = ModelInfo("smollm2", "llama", 135_000_000, 30, 0, 0, 8192)


def loaded(child: EngineProcess, path: Path, placements: Iterable[Placement]) -> EngineSession:
    one = Candidate("Q4_1", (path.name,), 1, 5.0, 0, Verdict.CPU, SMALL, (), None, Source.FORMULA)
    *steps, session = load(child, Plan(INFO, HERE, (one,), 0, ()), one, path, placements)
    assert all(isinstance(step, LoadProgress) for step in steps)
    assert isinstance(session, EngineSession)
    return session


def rehearsed(child: EngineProcess, path: Path, placement: Placement) -> tuple[ComponentBytes, ...]:
    (said,) = child.ask(Rehearse(str(path), (placement,)))
    assert said.memory is not None
    return said.memory


def limited(child: EngineProcess) -> EngineProcess:
    """The same process, which may not take more than 8 GiB."""
    resource.prlimit(child.pid, resource.RLIMIT_AS, (ROOM, ROOM))
    return child


def test_what_cannot_be_allocated_leads_to_the_next_placement_and_is_told(child: EngineProcess, smollm2: Path) -> None:
    session = loaded(limited(child), smollm2, [HUGE, replace(HUGE, kv_type="q8_0"), SMALL])
    assert (session.placement, session.loaded.ctx) == (SMALL, 512)
    assert len(session.loaded.notes) == 2
    assert all(note.endswith("The next smaller placement is tried.") for note in session.loaded.notes)


def test_where_no_placement_holds_the_last_failure_is_raised(child: EngineProcess, smollm2: Path) -> None:
    with pytest.raises(OutOfMemory):
        loaded(limited(child), smollm2, [HUGE])


def test_an_engine_that_is_killed_is_replaced_by_a_fresh_one(child: EngineProcess, smollm2: Path) -> None:
    killed = []

    def placements() -> Iterator[Placement]:
        os.kill(child.pid, signal.SIGKILL)
        killed.append(child.pid)
        yield HUGE
        yield SMALL

    session = loaded(child, smollm2, placements())
    assert child.pid not in killed
    assert "killed, perhaps for want of memory" in session.loaded.notes[0]
    last = list(session.generate([Message("user", "Hi")], Sampling(temperature=0, max_tokens=4)))[-1]
    assert last.completion_tokens > 0


def test_an_engine_that_is_killed_by_every_placement_is_an_error(child: EngineProcess, smollm2: Path) -> None:
    def placements() -> Iterator[Placement]:
        for placement in (HUGE, SMALL):
            os.kill(child.pid, signal.SIGKILL)
            yield placement

    with pytest.raises(EngineKilled, match="killed"):
        loaded(child, smollm2, placements())
    assert child.is_alive()


def test_a_file_that_is_none_needs_no_second_try(child: EngineProcess, tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF, but not really")
    tried = []

    def placements() -> Iterator[Placement]:
        for placement in (SMALL, replace(SMALL, ctx=256)):
            tried.append(placement)
            yield placement

    with pytest.raises(BadFile):
        loaded(child, path, placements())
    assert tried == [SMALL]


def test_a_fresh_engine_is_prepared_like_the_one_before(tmp_path: Path, smollm2: Path) -> None:
    child = EngineProcess(tmp_path / "log")
    try:
        one, two = child.prepare(StandIns(2))
        assert child.prepare(StandIns(2)) == (one, two)
        on_both = Placement((one, two), 31, 31, (15, 16), 512)
        before = rehearsed(child, smollm2, on_both)
        os.kill(child.pid, signal.SIGKILL)
        child.restart()
        assert rehearsed(child, smollm2, on_both) == before
        assert {row.device for row in before} == {one, two, "CPU"}
        assert [device.id for device in child.ask(Devices()).devices] == ["CPU"]  # nobody takes them for real
    finally:
        child.close()


def test_the_end_of_every_request_is_heard(child: EngineProcess, smollm2: Path) -> None:
    session = loaded(child, smollm2, [SMALL])
    heard: list[Chunk] = []
    session.ended = heard.append
    turns = [list(session.generate((), Sampling(max_tokens=n), raw="One two", ignore_end=True)) for n in (2, 3)]
    assert heard == [turn[-1] for turn in turns]
    assert [last.finish for last in heard] == [Finish.LENGTH, Finish.LENGTH]


def test_a_process_that_was_closed_says_so_and_is_not_taken_for_killed(tmp_path: Path) -> None:
    process = EngineProcess(tmp_path / "log")
    process.close(grace_s=0)
    with pytest.raises(EngineError, match="was closed") as caught:
        process.ask(Devices())
    assert type(caught.value) is EngineError


# ---- which deaths lead to a smaller placement


@pytest.fixture
def doomed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., EngineProcess]:
    """An engine process that dies of these, one at each load."""
    program, deaths = tmp_path / "python", tmp_path / "deaths"
    engine = Path(__file__).parents[2] / "support/doomed_engine.py"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{engine}" "{deaths}" "$4" "$5"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))

    def start(*to_come: tuple[int, LastWords]) -> EngineProcess:
        deaths.write_text("\n".join(json.dumps({"signal": number, "words": pack(words)}) for number, words in to_come))
        return EngineProcess(tmp_path / "log")

    return start


CUDA = "/build/ggml-cuda.cu:97: CUDA error"
LOWER = replace(SMALL, ctx=256)


@pytest.mark.parametrize(
    ("death", "said"),
    [
        ((signal.SIGABRT, LastWords(CUDA, ("CUDA error: out of memory",))), "ran out of memory"),
        ((signal.SIGKILL, LastWords("")), "was killed"),
    ],
)
def test_a_death_for_want_of_memory_leads_to_the_next_placement(
    doomed: Callable[..., EngineProcess], death: tuple[int, LastWords], said: str
) -> None:
    process = doomed(death)
    session = loaded(process, Path("x.gguf"), [SMALL, LOWER])
    assert session.placement == LOWER
    (note,) = session.loaded.notes
    assert said in note and "/build/" not in note
    process.close()


@pytest.mark.parametrize(
    ("death", "kind"),
    [
        ((signal.SIGABRT, LastWords(CUDA, ("CUDA error: unspecified launch failure",))), DeviceLost),
        ((signal.SIGABRT, LastWords("GGML_ASSERT(n_expert > 0) failed")), EngineError),
        ((signal.SIGSEGV, LastWords("")), EngineError),
    ],
)
def test_any_other_death_is_raised_as_what_it_is(
    doomed: Callable[..., EngineProcess], death: tuple[int, LastWords], kind: type[EngineError]
) -> None:
    process = doomed(death)
    with pytest.raises(EngineError) as caught:
        loaded(process, Path("x.gguf"), [SMALL, LOWER])
    assert type(caught.value) is kind
    process.close()


# ---- which placements there are


@pytest.fixture(scope="module")
def small(smollm2: Path) -> ModelShape:
    return shape_of([read_header(smollm2)])


def test_each_placement_needs_less(small: ModelShape) -> None:
    card = machine(gpu(1.4), ram=16)
    placements = list(lower_placements(small, card, Wish(), SMALL))
    assert placements[0] == SMALL and len(set(placements)) == len(placements) > 2
    needs = [(one.gpu_layers, one.ctx) for one in placements[1:]]
    assert needs == sorted(needs, reverse=True)


def test_what_was_wished_stays_in_every_placement(small: ModelShape) -> None:
    wish = Wish(ctx=8192, kv_type="q8_0")
    first = replace(SMALL, ctx=8192, kv_type="q8_0")
    placements = list(lower_placements(small, machine(gpu(1.4), ram=16), wish, first))
    assert {(one.ctx, one.kv_type) for one in placements} == {(8192, "q8_0")}


def test_nothing_smaller_is_made_up(small: ModelShape) -> None:
    assert list(lower_placements(small, machine(ram=1.2), Wish(), SMALL)) == [SMALL]
