"""`python -m scripts.benchmarks.roads [FILE]`: a token of a model half of which is behind a slow road, as predicted.

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

from models.headers.shape import shape_of
from models.stores.header_files import read_header
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
from scripts.synthetic.random_weights import GEOMETRIES, prompt, write

ROADS = ((1e-3, 125e6), (10e-3, 125e6), (10e-3, 0.5e6))  # seconds there and back, bytes per second
_TOKENS, _TURNS = 4, 40  # the fastest of many short answers is what others leave alone


def main() -> None:
    """A line for each road; without a FILE of a random model whose token takes less than a millisecond."""
    with tempfile.TemporaryDirectory() as name, worker() as endpoint:
        folder = Path(name)
        given = Path(sys.argv[1]) if sys.argv[1:] else None
        weights = given or write(folder / "tiny.gguf", GEOMETRIES["tiny-dense"], "Q8_0")
        model = Halved(weights, folder / "log")
        with slow_road(endpoint) as short:
            near, own = model.token_seconds(short.at)
        reckoned = model.predicted(own)
        print(f"   0 ms: measured {1e3 * near:6.2f} ms a token, its road reckoned at {1e3 * reckoned:.2f} of it")
        for latency, bandwidth in ROADS[:2] if given else ROADS:  # over the last one its weights would take minutes
            with slow_road(endpoint, latency, bandwidth) as long:
                far, road = model.token_seconds(long.at)
            expected = near - reckoned + model.predicted(road)
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


class Halved:
    """A model whose upper half of the layers, and what comes behind them, is on another computer."""

    def __init__(self, weights: Path, log: Path) -> None:
        self._weights, self._log = weights, log
        self._shape = shape_of([read_header(weights)])
        self._layers = self._shape.layers + 1
        self._there = (self._layers + 1) // 2

    def token_seconds(self, at: str) -> tuple[float, Road]:
        """Of the fastest of a few answers with that half behind `at`, and the road as measured."""
        lender = meet(at, at)
        with closing(EngineProcess(self._log)) as engine:
            join(engine, lender)
            engine.ask(Load(str(self._weights), Placement(("RPC0",), self._there, self._layers, (self._there,), 512)))
            asked = Request(raw=prompt(512, 8), sampling=Sampling(temperature=0, max_tokens=_TOKENS), ignore_end=True)
            speeds = [list(engine.stream(Generate(asked)))[-1].decode_tps for _ in range(_TURNS)]
        return 1 / max(speed for speed in speeds if speed), lender.road

    def predicted(self, road: Road) -> float:
        """Seconds that a token takes on this road."""
        device = Device("RPC0", Kind.RPC, "", 1 << 30, 1 << 30, lent=Lent("there:1", "CPU", cores=1, road=road))
        layout = Layout((device,), (-1,) * (self._layers - self._there) + (0,) * self._there)
        return roads.decode_seconds(blocks_of(self._shape), visits(layout), _TOKENS)


if __name__ == "__main__":
    main()
