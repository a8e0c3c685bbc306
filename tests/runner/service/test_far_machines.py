"""Models on several machines: workers hold what the plan says, answer alike, and are missed when they are gone."""

import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from models.errors import DeviceLost, EngineHung
from runner.client.session import EngineSession
from runner.client.watch import USUAL
from runner.service.service import LocalService
from runner.types.engine import LoadProgress
from runner.types.plan import Source
from runner.types.reasons import OnOthers
from runner.types.sampling import Sampling
from runner.types.wish import Wish
from scripts.checks.loopback import lending
from scripts.synthetic.random_weights import GEOMETRIES, write
from tests.support.homes import own_home
from tests.support.sessions import opened, told
from tests.support.workers import RunningWorker, working

SAID = "The sea is wide. " * 12
GREEDY = Sampling(temperature=0, max_tokens=12)
LONG = Sampling(temperature=0, max_tokens=400)
NOTICED_S = 10.0


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RunningWorker]]:
    with ExitStack() as stack:
        homes = [tmp_path_factory.mktemp("worker") for _ in range(3)]
        yield [stack.enter_context(working(home, "--memory", "3g")) for home in homes]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    with own_home(tmp_path_factory.mktemp("home")), closing(LocalService()) as local:
        yield local


def answered(session: EngineSession, sampling: Sampling = GREEDY) -> str:
    return told(list(session.generate((), sampling, raw=SAID, ignore_end=True)))


def held_as_planned(session: EngineSession) -> None:
    """Weights, caches and compute buffers, to the byte."""
    assert session.candidate.confirmed_by is Source.REHEARSAL
    planned = {row.device: (row.weights, row.kv, row.compute) for row in session.candidate.memory}
    held = {row.device: (row.weights, row.kv, row.compute) for row in session.loaded.memory}
    assert held == planned, session.placement


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, smollm2: Path) -> dict[str, Path]:
    moe = write(tmp_path_factory.mktemp("moe") / "tiny-moe-Q8_0.gguf", GEOMETRIES["tiny-moe"], "Q8_0")
    return {"smollm2": smollm2, "moe": moe}


@pytest.mark.parametrize(
    ("model", "count", "wish", "split"),
    [
        ("smollm2", 2, Wish(gpu_layers=20, tensor_split=(1, 3), devices=("RPC1", "RPC0")), (5, 15)),
        ("smollm2", 3, Wish(gpu_layers=31, tensor_split=(1, 1, 1)), (11, 10, 10)),
        ("moe", 2, Wish(gpu_layers=4, tensor_split=(1, 1)), (2, 2)),
        ("moe", 3, Wish(devices=("RPC0", "RPC1", "RPC2"), margin=0, vram_limit=(256 << 20) + (5 << 20)), None),
    ],
)
def test_workers_hold_what_was_planned_and_answer_like_one(
    service: LocalService,
    workers: list[RunningWorker],
    models: dict[str, Path],
    model: str,
    count: int,
    wish: Wish,
    split: tuple[int, ...] | None,
) -> None:
    wish = replace(wish, ctx=512, rpc=tuple(one.endpoint for one in workers[:3]), ubatch=64)
    if wish.devices is None:
        wish = replace(wish, devices=tuple(f"RPC{number}" for number in range(count)))
    session = opened(service, models[model], wish)
    held_as_planned(session)
    assert split is None or session.placement.tensor_split == split
    assert any(isinstance(reason, OnOthers) for reason in session.candidate.reasons), session.plan
    several = answered(session)
    alone = opened(service, models[model], replace(wish, devices=("RPC0",), tensor_split=None, vram_limit=None))
    assert several == answered(alone)


def missed(worker: RunningWorker, error: DeviceLost) -> None:
    """The machine is named, without a path of ggml's source or a guess at memory."""
    said = str(error)
    assert f"({worker.endpoint})" in said and "what it held of the model is lost" in said
    assert ".cpp" not in said and "want of memory" not in said


class Leaving:
    """Ends or stops a worker, once, and knows when."""

    def __init__(self, worker: RunningWorker, sent: signal.Signals) -> None:
        self._worker, self._sent, self.began = worker, sent, 0.0

    def now(self) -> None:
        if not self.began:
            self._worker.process.send_signal(self._sent)
            self.began = time.monotonic()


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("phase", ["load", "prefill", "decode"])
def test_a_machine_that_goes_away_is_named(smollm2: Path, tmp_path: Path, phase: str, sent: signal.Signals) -> None:
    with own_home(tmp_path), working(tmp_path / "worker") as worker, closing(LocalService()) as local:
        plan = local.plan(str(smollm2), Wish(ctx=1024, gpu_layers=31, rpc=(worker.endpoint,)))
        leaving, said = Leaving(worker, sent), ""
        with pytest.raises(DeviceLost) as lost:
            for step in local.load(plan, 0):  # noqa: B007 (the last one is the session)
                if phase == "load":
                    leaving.now()
            assert isinstance(step, EngineSession)
            for chunk in step.generate((), LONG, raw=SAID, ignore_end=True):
                said += chunk.text
                if said or phase == "prefill":
                    leaving.now()
        if phase == "decode" or sent == signal.SIGKILL:
            assert time.monotonic() - leaving.began < NOTICED_S
        missed(worker, lost.value)
        if phase == "decode":
            assert said
            goes_on_without(step, worker.endpoint)


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_one_whose_backend_dies_while_its_heart_goes_on_is_named(smollm2: Path, tmp_path: Path, phase: str) -> None:
    with own_home(tmp_path), working(tmp_path / "worker") as worker, closing(LocalService()) as local:
        session = opened(local, smollm2, Wish(ctx=1024, ubatch=32, gpu_layers=31, rpc=(worker.endpoint,)))
        backend, said = worker.backend, ""
        with pytest.raises(DeviceLost) as lost:
            for chunk in session.generate((), LONG, raw=SAID * 8, ignore_end=True):
                said += chunk.text
                if said or phase == "prefill":
                    backend.kill()
        missed(worker, lost.value)
        assert said or phase == "prefill"
        assert answered(session) and session.placement.devices == ("RPC0",), "its next backend is as good"


@pytest.mark.parametrize("others", [0, 1])
def test_a_server_of_llama_cpp_itself_that_is_killed_is_named(smollm2: Path, tmp_path: Path, others: int) -> None:
    with ExitStack() as stack:
        stack.enter_context(own_home(tmp_path))
        servers = [stack.enter_context(lending(tmp_path / f"log{number}", 1)) for number in range(1 + others)]
        local, rpc = stack.enter_context(closing(LocalService())), tuple(at for at, _pid in servers)
        session = opened(local, smollm2, Wish(ctx=1024, gpu_layers=31, tensor_split=(1,) * len(rpc), rpc=rpc))
        at, pid = servers[-1]
        with pytest.raises(DeviceLost, match=f"^{at} has closed the connection: what it held of the model is lost"):
            for chunk in session.generate((), LONG, raw=SAID, ignore_end=True):
                if chunk.text:
                    psutil.Process(pid).kill()


def test_a_server_of_llama_cpp_itself_that_is_stopped_is_named(smollm2: Path, tmp_path: Path) -> None:
    """It says nothing of itself while it serves: it is missed because steps that were quick before do not end."""
    with own_home(tmp_path), lending(tmp_path / "log", 1) as (at, pid), closing(LocalService()) as local:
        session = opened(local, smollm2, Wish(ctx=1024, ubatch=32, gpu_layers=31, rpc=(at,)))
        said, began = "", 0.0
        with pytest.raises(EngineHung, match=f"did not go on for .*the devices at {at} may be gone or busy"):
            for chunk in session.generate((), LONG, raw=SAID, ignore_end=True):
                said += chunk.text
                if said and not began:
                    psutil.Process(pid).suspend()
                    began = time.monotonic()
        assert said and time.monotonic() - began < USUAL.idle_s - NOTICED_S
        goes_on_without(session, at)


@pytest.mark.parametrize("phase", ["load", "prefill"])
def test_one_that_is_stopped_before_it_has_computed_anything_is_named_too(
    smollm2: Path, tmp_path: Path, phase: str
) -> None:
    """The engine waits on its connection, and nothing moves there."""
    with own_home(tmp_path), lending(tmp_path / "log", 1) as (at, pid), closing(LocalService()) as local:
        plan = local.plan(str(smollm2), Wish(ctx=1024, ubatch=32, gpu_layers=31, rpc=(at,)))
        lender, said = psutil.Process(pid), "did not go on for ([0-9]+) s and was ended; the devices at " + at
        with pytest.raises(EngineHung, match=said) as hung:
            for step in local.load(plan, 0):  # noqa: B007 (the last one is the session)
                if phase == "load":
                    lender.suspend()
            assert isinstance(step, EngineSession)
            lender.suspend()
            list(step.generate((), LONG, raw=SAID, ignore_end=True))
        waited = re.search(said, str(hung.value))
        assert waited and int(waited[1]) < USUAL.idle_s
        if phase == "prefill":
            goes_on_without(step, at)


def goes_on_without(session: LoadProgress | EngineSession, endpoint: str) -> None:
    assert isinstance(session, EngineSession)
    again = list(session.generate((), GREEDY, raw=SAID, ignore_end=True))
    (happened,) = [chunk.happened for chunk in again if chunk.happened]
    assert "started again without" in happened and endpoint in happened
    assert told(again) and not session.placement.devices
