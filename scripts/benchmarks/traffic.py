"""`python -m scripts.benchmarks.traffic`: bytes over the network and answers waited for, beside those reckoned with.

Random models of which parts are at a worker on this computer, whose relay counts. No clock is read: a busy machine will
do. A placement has the last so many layers there, the output layer among them, and parts of some elsewhere.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from models.headers.reader import parse
from models.headers.shape import shape_of
from runner.client.devices import join
from runner.client.far import Line, meet
from runner.client.process import EngineProcess
from runner.cost.blocks import Blocks, blocks_of
from runner.cost.layout import HOST, Layout
from runner.cost.roads import graph_bytes, round_trips, token_bytes
from runner.cost.visits import Visits, visits
from runner.types.commands import Generate, Load
from runner.types.generation import Request
from runner.types.machine import Device, Kind, Lent
from runner.types.placement import Override, Placement
from runner.types.sampling import Sampling
from scripts.benchmarks.roads import worker
from scripts.synthetic.geometry import Attention, Geometry
from scripts.synthetic.headers import entries, header_bytes, metadata
from scripts.synthetic.random_weights import Size, geometry, prompt, write

_PROMPT, _FEW, _MANY = 257, 12, 22  # tokens
_DEVICE = Device("RPC0", Kind.RPC, "", 1 << 40, 1 << 40, lent=Lent("there:1", "CPU", cores=1))

Counted = tuple[float, float]  # bytes, answers waited for


@dataclass(frozen=True, slots=True)
class Case:
    """`there` of the layers and the output layer, experts or FFN of some layers at `parts_at`."""

    layers: int
    experts: int
    there: int
    parts: tuple[int, ...] = ()
    parts_at: str = "RPC0"

    @property
    def geometry(self) -> Geometry:
        """Of the model."""
        size = Size(256, self.layers, 256 if self.experts else 768, 512, experts=self.experts)
        return geometry(f"{self.layers}-{self.experts}", size, Attention(4, 2, 64))

    @property
    def placement(self) -> Placement:
        """As llama.cpp is told."""
        names = "|".join(map(str, self.parts))
        stem = "ffn_.*_exps" if self.experts else r"ffn_(up|gate|down)\."
        overrides = (Override(rf"blk\.({names})\.{stem}", self.parts_at),) if self.parts else ()
        return Placement(("RPC0",), self.there, self.layers + 1, (self.there,), 512, overrides=overrides)

    def visits(self, blocks: Blocks) -> Visits:
        """As the planner sees it."""
        at = HOST if self.parts_at == "CPU" else 0
        moved = {(layer, stem): at for layer in self.parts for stem in blocks.layers[0].movable}
        layers = (HOST,) * (self.layers + 1 - self.there) + (0,) * self.there
        return visits(Layout((_DEVICE,), layers, moved))[0]


CASES = (
    Case(4, 0, 3),
    Case(4, 0, 5),
    Case(4, 16, 3),
    Case(12, 64, 7),
    Case(4, 16, 0, (1,)),
    Case(4, 16, 0, (2, 3)),
    Case(24, 16, 0, tuple(range(24))),
    Case(24, 64, 0, tuple(range(24))),
    Case(6, 0, 0, (1, 2)),
    Case(4, 16, 3, (2, 3), "CPU"),
    Case(6, 16, 7, (3, 4), "CPU"),
    Case(6, 0, 4, (3, 4), "CPU"),
)


def main() -> None:
    """A line for each case."""
    with tempfile.TemporaryDirectory() as name, worker() as endpoint:
        lender = meet(endpoint, endpoint)
        with closing(EngineProcess(Path(name) / "log")) as engine, Line(endpoint, 10) as line:
            join(engine, lender)
            for case in CASES:
                path = write(Path(name) / f"{case.geometry.title}.gguf", case.geometry, "Q8_0")
                engine.ask(Load(str(path), case.placement))
                token, read = _counted(engine, line)
                _tell(case, token, read)


def _counted(engine: EngineProcess, line: Line) -> tuple[Counted, Counted]:
    """Of one token, and of a prompt."""

    def difference(tokens: int, length: int) -> Counted:
        asked = Request(
            raw=prompt(512, length),
            sampling=Sampling(temperature=0, max_tokens=tokens),
            ignore_end=True,
            reuse=False,
            drafts=False,
        )
        before = line.ping()
        list(engine.stream(Generate(asked)))
        after = line.ping()
        sent = after.received + after.sent - before.received - before.sent
        return sent, after.requests - before.requests

    difference(2, 8)
    few, many = difference(_FEW, 8), difference(_MANY, 8)
    size, answers = ((more - less) / (_MANY - _FEW) for less, more in zip(few, many, strict=True))
    return (size, answers), difference(1, _PROMPT)


def _tell(case: Case, token: Counted, read: Counted) -> None:
    found = case.geometry
    blocks = blocks_of(shape_of([parse(header_bytes(metadata(found, "Q8_0", "none"), entries(found, "Q8_0")))]))
    one = case.visits(blocks)
    graph = graph_bytes(blocks, one)
    own = token_bytes(blocks, one, depth=20) + (graph if one.times > 1 else 0)
    whole = token_bytes(blocks, one, _PROMPT) + graph
    parts = f", parts of {len(case.parts)} at {case.parts_at}" if case.parts else ""
    print(f"{case.layers} layers, {case.experts} experts, {case.there} there{parts}")
    for what, counted, size, tokens in (("token", token, own, 1), ("prompt", read, whole, _PROMPT)):
        answers = f"answers {counted[1]:.0f}, reckoned {round_trips(blocks, one, tokens)}"
        print(f"  a {what}: {counted[0]:.0f} bytes, reckoned {size / counted[0]:.2f} of them; {answers}")


if __name__ == "__main__":
    main()
