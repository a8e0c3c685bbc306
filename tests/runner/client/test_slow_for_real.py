"""Slow for a reason that is made for real: the small model, its engine, and what is done to it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from runner.client.process import EngineProcess
from runner.client.session import EngineSession, Running
from runner.client.slow_watch import SlowWatch
from runner.hardware.causes import work_of
from runner.hardware.strain import strain
from runner.report.contract import answer_json
from runner.report.slowness import slow_line
from runner.types.commands import Load
from runner.types.machine import Machine
from runner.types.placement import Placement
from runner.types.plan import Candidate, ModelInfo, Plan, Predicted, Source, Verdict
from runner.types.sampling import Sampling
from runner.types.slowness import BandwidthShared, Cause, CoresTaken, DiskReads, FewerCores
from tests.support.hardship import READ_MEMORY, SPIN, cold, neighbours, quota

CORES = psutil.cpu_count(logical=False) or 1
ALL = Placement((), 0, 31, (), 512, threads=1, load_mode="mmap")  # several would wait for each other
HERE = Machine("probe", (), 8 << 30, 8 << 30, 40e9, CORES)
INFO = ModelInfo("smollm2", "llama", 135_000_000, 30, 0, 0, 8192)
FAST = Predicted(10_000.0, 10_000.0, 2048)  # whatever happens is slower
LONGER = replace(ALL, ctx=4096)  # lasts for more than ten seconds on any machine
ONE = Candidate("Q4_1", ("x.gguf",), 1, 5.0, 0, Verdict.CPU, ALL, (), FAST, Source.FORMULA)
LONG = Sampling(temperature=0, max_tokens=4000)


@pytest.fixture
def weights(smollm2: Path, tmp_path: Path) -> Path:
    """A copy that nobody else has mapped."""
    return Path(shutil.copy(smollm2, tmp_path / "weights.gguf"))


@pytest.fixture
def process(tmp_path: Path) -> Iterator[EngineProcess]:
    with closing(EngineProcess(tmp_path / "log")) as process:
        yield process


def opened(process: EngineProcess, weights: Path, placement: Placement = ALL) -> EngineSession:
    plan = Plan(INFO, HERE, (ONE,), 0, ())
    return EngineSession(process, Running(plan, ONE, placement, process.ask(Load(str(weights), placement))))


def causes(process: EngineProcess, session: EngineSession) -> Iterator[Cause | None]:
    """What is found every few seconds while it tells a story."""
    watch = SlowWatch(
        FAST.decode_tps,
        lambda: strain(HERE, process.pid),
        lambda tokens: work_of(session.placement, session.loaded, tokens, FAST.at_depth),
        patience_s=2.0,
    )
    for chunk in session.generate((), LONG, raw="Once", ignore_end=True):
        before = watch.found
        watch.hear(chunk)
        if watch.found is not before and watch.found is not None:
            yield watch.found.cause


def found(process: EngineProcess, session: EngineSession, wanted: Callable[[Cause | None], bool]) -> None:
    """One of the measurements has the cause: for a while another may be likelier, whatever goes on at this computer."""
    seen = []
    for cause in causes(process, session):
        seen.append(cause)
        if wanted(cause):
            session.stop()
            return
    raise AssertionError(seen)


def test_busy_neighbours_take_the_cores(process: EngineProcess, weights: Path) -> None:
    session = opened(process, weights)
    with neighbours(SPIN, 2 * CORES):
        found(process, session, lambda cause: isinstance(cause, CoresTaken) and cause.cores > 0.5)


def test_a_neighbour_that_reads_memory(process: EngineProcess, weights: Path) -> None:
    session = opened(process, weights)
    with neighbours(READ_MEMORY):
        found(process, session, lambda cause: isinstance(cause, BandwidthShared | CoresTaken) and cause.cores > 0.5)


def made(hardship: AbstractContextManager[None]) -> AbstractContextManager[None]:
    """Something that not every computer allows."""
    try:
        hardship.__enter__()
    except OSError as error:
        pytest.skip(f"not allowed here: {error}")
    return hardship


def test_a_quota_leaves_fewer_cores(process: EngineProcess, weights: Path) -> None:
    session = opened(process, weights)
    limited = made(quota(process.pid, 0.5))
    try:
        found(process, session, lambda cause: cause == FewerCores(0.5, 1))
    finally:
        limited.__exit__(None, None, None)


def test_cold_weights_are_read_from_disk(process: EngineProcess, weights: Path) -> None:
    session = opened(process, weights)
    paged_out = made(cold(process.pid, weights))
    try:
        found(process, session, lambda cause: isinstance(cause, DiskReads))
    finally:
        paged_out.__exit__(None, None, None)


def test_after_ten_seconds_the_session_says_so(process: EngineProcess, weights: Path) -> None:
    session = opened(process, weights, LONGER)
    with neighbours(SPIN, 2 * CORES):
        for chunk in session.generate((), LONG, raw="Once", ignore_end=True):
            last = chunk
            if session.slowness is not None:
                session.stop()
    assert session.slowness is not None and session.slowness.cause is not None
    slow = answer_json("", "", last, session, LONG)["timings"]["slow"]
    assert slow["message"] == slow_line(session.slowness)
    assert slow["message"].endswith("would help.")
    assert 0.9 < slow["below"] <= 1
    list(session.generate((), Sampling(max_tokens=2), raw="One"))
    assert session.slowness is None
