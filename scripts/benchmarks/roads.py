"""`python -m scripts.benchmarks.roads`: a token of a model that is half behind a slow road, beside its prediction.

A worker on this computer, reached over a road that delays and bounds what goes through. What a token takes here without
a delay, less what that road is reckoned at, is taken for what the devices need: the line of 0 ms shows both, and no
prediction. An idle machine, please: others' work is not predicted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from models.headers.reader import parse
from models.headers.shape import shape_of
from runner.client.devices import join
from runner.client.far import meet
from runner.client.process import EngineProcess
from runner.cost import roads
from runner.cost.blocks import blocks_of
from runner.cost.layout import Layout
from runner.cost.visits import visits
from runner.types.commands import Generate, Load
from runner.types.generation import Request
from runner.types.machine import Device, Kind, Lent, Road
from runner.types.placement import Placement
from runner.types.sampling import Sampling
from scripts.checks.slow_road import slow_road
from scripts.synthetic.headers import entries, header_bytes, metadata
from scripts.synthetic.random_weights import GEOMETRIES, prompt, write

ROADS = ((1e-3, 125e6), (10e-3, 125e6), (10e-3, 0.5e6))  # seconds there and back, bytes per second
_TINY = GEOMETRIES["tiny-dense"]
_HALF = Placement(("RPC0",), 3, 5, (3,), 512)
_TOKENS, _TURNS = 4, 40  # the fastest of many short answers is what others leave alone


def main() -> None:
    """A line for each road."""
    with tempfile.TemporaryDirectory() as name, worker() as endpoint:
        folder = Path(name)
        weights = write(folder / "tiny.gguf", _TINY, "Q8_0")
        with slow_road(endpoint) as short:
            near, own = _token_seconds(short.at, weights, folder / "log")
        print(f"   0 ms: measured {1e3 * near:6.2f} ms a token, its road reckoned at {1e3 * _predicted(own):.2f} of it")
        for latency, bandwidth in ROADS:
            with slow_road(endpoint, latency, bandwidth) as long:
                far, road = _token_seconds(long.at, weights, folder / "log")
            expected = near - _predicted(own) + _predicted(road)
            print(
                f"{1e3 * latency:4.0f} ms, {bandwidth / 1e6:5.1f} MB/s: measured {1e3 * far:6.2f} ms a token, "
                f"predicted {1e3 * expected:6.2f}, ratio {expected / far:.2f}"
            )


@contextmanager
def worker() -> Iterator[str]:
    """Where one of this computer listens."""
    command = [sys.executable, "-P", "-m", "localrun", "worker", "--listen", "127.0.0.1:0", "--lifeline"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ, text=True) as worker:
        assert worker.stdout is not None and worker.stdin is not None
        yield worker.stdout.readline().strip()
        worker.stdin.close()  # which ends it


def _token_seconds(at: str, weights: Path, log: Path) -> tuple[float, Road]:
    """Of the fastest of a few answers with the upper half of the layers behind `at`, and the road as measured."""
    lender = meet(at, at)
    with closing(EngineProcess(log)) as engine:
        join(engine, lender)
        engine.ask(Load(str(weights), _HALF))
        asked = Request(raw=prompt(512, 8), sampling=Sampling(temperature=0, max_tokens=_TOKENS), ignore_end=True)
        speeds = [list(engine.stream(Generate(asked)))[-1].decode_tps for _ in range(_TURNS)]
    return 1 / max(speed for speed in speeds if speed), lender.road


def _predicted(road: Road) -> float:
    shape = shape_of([parse(header_bytes(metadata(_TINY, "Q8_0", "none"), entries(_TINY, "Q8_0")))])
    device = Device("RPC0", Kind.RPC, "", 1 << 30, 1 << 30, lent=Lent("there:1", "CPU", cores=1, road=road))
    return roads.decode_seconds(blocks_of(shape), visits(Layout((device,), (-1, -1, 0, 0, 0))), _TOKENS)


if __name__ == "__main__":
    main()
