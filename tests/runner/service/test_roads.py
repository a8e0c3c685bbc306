"""Latency and rate of a road, as they are measured, and a cable that is pulled.

What a token takes over a road is measured by `python -m scripts.benchmarks.roads`.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import DeviceLost
from runner.client.devices import join
from runner.client.far import meet
from runner.client.process import EngineProcess
from runner.types.commands import Generate, Load
from runner.types.generation import Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling
from scripts.checks.slow_road import slow_road
from scripts.synthetic.random_weights import GEOMETRIES, prompt, write
from tests.support.workers import RunningWorker, working

TINY = GEOMETRIES["tiny-dense"]
HALF = Placement(("RPC0",), 3, 5, (3,), 512)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    with working(tmp_path_factory.mktemp("worker")) as one:
        yield one


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("weights") / "tiny.gguf", TINY, "Q8_0")


@pytest.mark.parametrize(("latency_s", "bandwidth"), [(1e-3, 125e6), (10e-3, 0.5e6)])
def test_a_road_is_measured(worker: RunningWorker, latency_s: float, bandwidth: float) -> None:
    with slow_road(worker.endpoint, latency_s, bandwidth) as road:
        found = meet(road.at, road.at).road
    assert latency_s < found.latency_s < latency_s + 5e-3
    assert found.bandwidth is not None and found.bandwidth < 1.1 * bandwidth


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
