"""Latency and rate of a road, as they are measured, predicted and felt; and a cable that is pulled."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import DeviceLost
from models.headers.reader import parse
from models.headers.shape import ModelShape, shape_of
from runner.client.devices import join
from runner.client.far import meet
from runner.client.process import EngineProcess
from runner.cost import roads
from runner.cost.blocks import blocks_of
from runner.cost.layout import Layout
from runner.hardware import host
from runner.types.commands import Generate, Load
from runner.types.generation import Request
from runner.types.machine import Device, Kind, Lent, Road
from runner.types.placement import Placement
from runner.types.sampling import Sampling
from scripts.checks.slow_road import slow_road
from scripts.synthetic.headers import entries, header_bytes, metadata
from scripts.synthetic.random_weights import GEOMETRIES, prompt, write
from tests.support.workers import RunningWorker, working

TINY = GEOMETRIES["tiny-dense"]
HALF = Placement(("RPC0",), 3, 5, (3,), 512)
TOKENS, TURNS = 4, 40  # the fastest of many short answers is what others leave alone
WITHIN = 0.2


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    with working(tmp_path_factory.mktemp("worker")) as one:
        yield one


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("weights") / "tiny.gguf", TINY, "Q8_0")


def shape() -> ModelShape:
    return shape_of([parse(header_bytes(metadata(TINY, "Q8_0", "none"), entries(TINY, "Q8_0")))])


def token_seconds(at: str, weights: Path, log: Path) -> tuple[float, Road]:
    """Of the fastest of a few answers with the upper half of the layers behind `at`, and the road as measured."""
    lender = meet(at, at)
    with closing(EngineProcess(log)) as engine:
        join(engine, lender)
        engine.ask(Load(str(weights), HALF))
        asked = Request(raw=prompt(512, 8), sampling=Sampling(temperature=0, max_tokens=TOKENS), ignore_end=True)
        speeds = [list(engine.stream(Generate(asked)))[-1].decode_tps for _ in range(TURNS)]
    assert all(speeds), speeds
    return 1 / max(speed for speed in speeds if speed), lender.road


def predicted(road: Road) -> float:
    device = Device("RPC0", Kind.RPC, "", 1 << 30, 1 << 30, lent=Lent("there:1", "CPU", cores=1, road=road))
    found = roads.visits(Layout((device,), (-1, -1, 0, 0, 0)))
    return roads.decode_seconds(blocks_of(shape()), found, TOKENS)


@pytest.mark.skipif(host.load() > host.cores(), reason="others compute on this machine: speeds would be theirs")
@pytest.mark.parametrize(("latency_s", "bandwidth"), [(1e-3, 125e6), (10e-3, 0.5e6)])
def test_a_token_takes_as_long_as_predicted(
    worker: RunningWorker, weights: Path, tmp_path: Path, latency_s: float, bandwidth: float
) -> None:
    with slow_road(worker.endpoint) as short, slow_road(worker.endpoint, latency_s, bandwidth) as long:
        near, own = token_seconds(short.at, weights, tmp_path / "near")
        far, road = token_seconds(long.at, weights, tmp_path / "far")
    assert latency_s < road.latency_s < latency_s + 5e-3
    assert road.bandwidth is not None and road.bandwidth < 1.1 * bandwidth
    expected = near - predicted(own) + predicted(road)
    assert far == pytest.approx(expected, rel=WITHIN), (near, own, road)


def test_a_cable_that_is_pulled_is_noticed(worker: RunningWorker, weights: Path, tmp_path: Path) -> None:
    with slow_road(worker.endpoint) as road, closing(EngineProcess(tmp_path / "log")) as engine:
        lender = replace(meet(road.at, road.at), endpoint="ssh:me@tower")
        join(engine, lender)
        engine.ask(Load(str(weights), HALF))
        asked = Request(raw=prompt(512, 8), sampling=Sampling(temperature=0), ignore_end=True)
        with pytest.raises(DeviceLost, match=r"\(ssh:me@tower\) has not answered for \d s: what it held") as lost:
            for chunk in engine.stream(Generate(asked)):
                if chunk.text:
                    road.cut()
                    began = time.monotonic()
    assert time.monotonic() - began < 10, lost.value
