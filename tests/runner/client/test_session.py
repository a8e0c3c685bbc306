"""A session over the real small model, over an engine that is killed, and over one that runs out of memory."""

import os
import signal
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.errors import DoesNotFit, EngineError, EngineKilled, OutOfMemory
from models.headers.quantizations import ReadSet
from models.headers.shape import shape_of
from models.stores.header_files import read_header
from models.weights import Offer, WeightFile, WeightSet
from runner.client.process import EngineProcess
from runner.client.session import EngineSession, Running
from runner.client.spawn import offload_setting
from runner.client.watch import Limits
from runner.types.commands import Devices, Generate, Load, Rehearse, StandIns
from runner.types.engine import ComponentBytes
from runner.types.generation import Chunk, Finish, Message, Phase
from runner.types.machine import Machine
from runner.types.pipe import LongCommand
from runner.types.placement import Placement
from runner.types.plan import Candidate, ModelInfo, Plan, Source, Verdict
from runner.types.sampling import Sampling
from runner.types.study import StudiedSet, Study

SMALL = Placement((), 0, 31, (), 512, threads=1, load_mode="none")
HERE = Machine("probe", (), 8 << 30, 8 << 30, 40e9, 2)
INFO = ModelInfo("smollm2", "llama", 135_000_000, 30, 0, 0, 8192)
ONE = Candidate("Q4_1", ("x.gguf",), 1, 5.0, 0, Verdict.CPU, SMALL, (), None, Source.FORMULA)
GREEDY = Sampling(temperature=0, max_tokens=40)
ASKED = [Message("user", "Tell me about the sea.")]


def loaded(child: EngineProcess, path: Path, placement: Placement = SMALL) -> Running:
    return Running(Plan(INFO, HERE, (ONE,), 0, ()), ONE, placement, child.ask(Load(str(path), placement)))


def rehearsed(child: EngineProcess, path: Path, placement: Placement) -> tuple[ComponentBytes, ...]:
    (said,) = child.ask(Rehearse(str(path), (placement,)))
    assert said.memory is not None
    return said.memory


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
    session = EngineSession(child, loaded(child, smollm2))
    heard: list[Chunk] = []
    session.ended = lambda _asked, last: heard.append(last)
    turns = [list(session.generate((), Sampling(max_tokens=n), raw="One two", ignore_end=True)) for n in (2, 3)]
    assert heard == [turn[-1] for turn in turns]
    assert [last.finish for last in heard] == [Finish.LENGTH, Finish.LENGTH]


def test_answers_side_by_side_each_from_a_thread(child: EngineProcess, smollm2: Path) -> None:
    session = EngineSession(child, loaded(child, smollm2, replace(SMALL, sequences=2, outputs=2)))
    heard: list[Chunk] = []
    session.ended = lambda _asked, last: heard.append(last)
    story = session.generate((), Sampling(temperature=0), raw="The sea", ignore_end=True)
    assert any(chunk.phase is Phase.DECODE for chunk in story)
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda n: list(session.generate((), GREEDY, raw=f"{n} two three")), ("One", "1"))
    assert told(one) and told(two) and one[-1].decode_tps
    story.stop()
    assert list(story)[-1].finish is Finish.INTERRUPTED
    assert [last.decode_tps for last in heard] == [None] * 3, "a speed beside others is no experience"
    list(session.generate((), GREEDY, raw="One two three"))
    assert heard[-1].decode_tps


def test_the_death_of_an_engine_is_told_to_all(tmp_path: Path, smollm2: Path) -> None:
    with closing(EngineProcess(tmp_path / "log")) as process:
        session = EngineSession(process, loaded(process, smollm2, replace(SMALL, sequences=2, outputs=2)))
        stories = [session.generate((), GREEDY, raw=text, ignore_end=True) for text in ("The sea", "A tree")]
        for story in stories:
            next(story)
        os.kill(process.pid, signal.SIGKILL)
        for story in stories:
            with pytest.raises(EngineKilled):
                list(story)


def test_what_backends_read_once_takes_a_fresh_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the engine's process, as the kernel shows it."""
    monkeypatch.delenv("GGML_OP_OFFLOAD_MIN_BATCH", raising=False)
    with closing(EngineProcess(tmp_path / "log")) as process:
        first = process.pid
        process.need(offload_setting(SMALL))
        assert process.pid == first
        process.need(offload_setting(replace(SMALL, offload_batch=128)))
        process.ask(Devices())
        assert process.pid != first
        assert b"GGML_OP_OFFLOAD_MIN_BATCH=128" in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
        process.need(offload_setting(SMALL))
        process.ask(Devices())
        assert b"GGML_OP_OFFLOAD_MIN_BATCH" not in Path(f"/proc/{process.pid}/environ").read_bytes()


def test_a_process_that_was_closed_says_so_and_is_not_taken_for_killed(tmp_path: Path) -> None:
    process = EngineProcess(tmp_path / "log")
    process.close()
    with pytest.raises(EngineError, match="was closed") as caught:
        process.ask(Devices())
    assert type(caught.value) is EngineError


# ---- memory that runs out in the midst of an answer


class Failing(EngineProcess):
    """The real engine, in which answers fail with `error` once they have so many tokens, one answer for each `at`."""

    at: tuple[int, ...] = ()
    error: type[EngineError] = OutOfMemory

    def stream(self, command: LongCommand[Any, Any], limits: Limits | None = None) -> Generator[Any, None, Any]:
        """The real answer, until it fails."""
        if not isinstance(command, Generate) or not self.at:
            return super().stream(command, limits)
        at, self.at = self.at[0], self.at[1:]
        return self._cut(super().stream(command, limits), at)

    def _cut(self, real: Generator[Chunk, None, None], at: int) -> Generator[Chunk, None, None]:
        with closing(real):
            for chunk in real:
                yield chunk
                if chunk.completion_tokens >= at:
                    raise self.error("There is no room.")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Failing]:
    process = Failing(tmp_path_factory.mktemp("failing") / "log")
    yield process
    process.close()


class Smaller:
    """Loads the same again with another context, and says so; `asked` are the contexts that it was asked for."""

    def __init__(self, engine: EngineProcess, path: Path) -> None:
        self._engine, self._path = engine, path
        self.asked: list[int] = []

    def __call__(self, _error: EngineError, least_ctx: int) -> Running:
        self.asked.append(least_ctx)
        running = loaded(self._engine, self._path, replace(SMALL, ctx=512 - 128 * len(self.asked)))
        return replace(running, loaded=replace(running.loaded, notes=(f"Note {len(self.asked)}.",)))


def told(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


@pytest.mark.parametrize("cuts", [(0,), (1,), (7,), (3, 9, 5)])
def test_the_answer_goes_on_as_if_nothing_had_happened(engine: Failing, smollm2: Path, cuts: tuple[int, ...]) -> None:
    engine.at = ()
    whole = list(EngineSession(engine, loaded(engine, smollm2)).generate(ASKED, GREEDY))
    smaller = Smaller(engine, smollm2)
    session, engine.at = EngineSession(engine, loaded(engine, smollm2), smaller), cuts
    chunks = list(session.generate(ASKED, GREEDY))
    assert told(chunks) == told(whole)
    assert [chunk.happened for chunk in chunks if chunk.happened] == [f"Note {n + 1}." for n in range(len(cuts))]
    assert session.loaded.notes == tuple(f"Note {n + 1}." for n in range(len(cuts)))
    assert session.placement.ctx == 512 - 128 * len(cuts)
    first, last = whole[-1], chunks[-1]
    assert (last.completion_tokens, last.prompt_tokens, last.finish) == (40, first.prompt_tokens, first.finish)
    assert {chunk.seed for chunk in chunks if chunk.text} == {last.seed}
    counted = [chunk.completion_tokens for chunk in chunks if chunk.phase is not Phase.PREFILL]
    assert counted == sorted(counted)
    assert first.prompt_tokens + 256 <= smaller.asked[0] <= 512


def test_plain_text_goes_on_too(engine: Failing, smollm2: Path) -> None:
    engine.at = ()
    whole = list(EngineSession(engine, loaded(engine, smollm2)).generate((), GREEDY, raw="The sea is"))
    session, engine.at = EngineSession(engine, loaded(engine, smollm2), Smaller(engine, smollm2)), (6,)
    assert told(list(session.generate((), GREEDY, raw="The sea is"))) == told(whole)


def test_a_grammar_goes_on_where_it_was(engine: Failing, smollm2: Path) -> None:
    words = "one two three four five six seven eight nine ten"
    asked = replace(GREEDY, grammar=f'root ::= "{words}"')
    session, engine.at = EngineSession(engine, loaded(engine, smollm2), Smaller(engine, smollm2)), (4,)
    chunks = list(session.generate(ASKED, asked))
    assert told(chunks) == words and chunks[-1].finish is Finish.STOP


def test_a_continued_answer_goes_on_behind_its_own_words(engine: Failing, smollm2: Path) -> None:
    begun = [*ASKED, Message("assistant", "The sea is a")]
    engine.at = ()
    whole = list(EngineSession(engine, loaded(engine, smollm2)).generate(begun, GREEDY, continue_last=True))
    session, engine.at = EngineSession(engine, loaded(engine, smollm2), Smaller(engine, smollm2)), (5,)
    assert told(list(session.generate(begun, GREEDY, continue_last=True))) == told(whole)


def heard_until(session: EngineSession, error: type[Exception]) -> str:
    """What is said before the answer ends with an error."""
    said = ""
    with pytest.raises(error):
        for chunk in session.generate(ASKED, GREEDY):
            said += chunk.text
    return said


def test_where_nothing_smaller_works_what_was_said_stays(engine: Failing, smollm2: Path) -> None:
    def refuse(error: EngineError, _least_ctx: int) -> Running:
        raise DoesNotFit("Nothing fits.") from error

    session, engine.at = EngineSession(engine, loaded(engine, smollm2), refuse), (5,)
    assert heard_until(session, DoesNotFit)
    session, engine.at = EngineSession(engine, loaded(engine, smollm2)), (5,)
    assert heard_until(session, OutOfMemory)


def test_a_stop_while_something_smaller_is_loaded_ends_the_answer(engine: Failing, smollm2: Path) -> None:
    smaller = Smaller(engine, smollm2)

    def stopped(error: EngineError, least_ctx: int) -> Running:
        session.stop()
        return smaller(error, least_ctx)

    session, engine.at = EngineSession(engine, loaded(engine, smollm2), stopped), (5,)
    chunks = list(session.generate(ASKED, GREEDY))
    assert told(chunks) and (chunks[-1].finish, chunks[-1].happened) == (Finish.INTERRUPTED, "Note 1.")
    assert chunks[-1].completion_tokens < 40


def test_an_engine_that_somebody_killed_is_not_taken_for_want_of_memory(engine: Failing, smollm2: Path) -> None:
    smaller = Smaller(engine, smollm2)
    session, engine.at, engine.error = EngineSession(engine, loaded(engine, smollm2), smaller), (5,), EngineKilled
    try:
        assert heard_until(session, EngineKilled) and not smaller.asked
    finally:
        engine.error = OutOfMemory


def test_a_model_is_sampled_as_its_header_says_unless_somebody_asks(child: EngineProcess, smollm2: Path) -> None:
    header = read_header(smollm2)
    cold = replace(header, kv={**header.kv, "general.sampling.temp": 0.0, "general.sampling.top_k": 1})
    weights = WeightSet("Q4_1", (WeightFile("x.gguf", 1, smollm2),))
    read = ReadSet(weights, (cold,))
    running = loaded(child, smollm2)
    study = Study("x", Offer("x", "file", (weights,)), (StudiedSet(read, shape_of(read.headers)),))
    session = EngineSession(child, replace(running, plan=replace(running.plan, study=study)))
    heard: list[Sampling] = []
    session.ended = lambda asked, _last: heard.append(asked.sampling)
    cold_ones = {answer_of(session.generate(ASKED, Sampling(seed=seed, max_tokens=8))) for seed in (1, 2, 3)}
    assert cold_ones == {answer_of(session.generate(ASKED, replace(GREEDY, max_tokens=8)))}
    list(session.generate(ASKED, Sampling(temperature=0.7, max_tokens=1)))
    assert (heard[0].temperature, heard[0].top_k, heard[0].min_p) == (0.0, 1, 0.05)
    assert (heard[-1].temperature, heard[-1].top_k) == (0.7, 1)


def answer_of(chunks: Iterator[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)
