"""What drawing a token costs over greedy, at vocabularies of 128k and 262k.

    python -m scripts.benchmarks.sampling [--rounds 9] [--model FILE.gguf [--devices CUDA0]]

Without --model, a random-weight model of each vocabulary is written and run, small enough that drawing shows. Every
setting in turns, medians. `decode`: tokens per second over greedy's of the same round. `alone`: microseconds a draw
with nothing between two, as where a GPU decodes; `behind`: after a decode, which empties a CPU's caches. On the CPU,
with its one thread, seconds are those of the processor: others on the machine do not count.
`bound`: a maximum of all logits, and llama.cpp's own chain over forty of them, whichever; no exact draw takes less.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from runner.engine import llama
from runner.engine.batch import Piece
from runner.engine.candidates import Candidates, Shortlist, Tokens
from runner.engine.context import Context
from runner.engine.llama import C
from runner.engine.model import Model
from runner.engine.sampler import Sampler, chain_of
from runner.types.placement import Placement
from runner.types.sampling import Sampling
from scripts.synthetic.geometry import Attention
from scripts.synthetic.random_weights import Size, geometry, write

VOCABULARIES = (128_256, 262_144)
TOKENS = 64
SETTINGS = {
    "greedy": Sampling(temperature=0),
    "default chain": Sampling(),
    "greedy, repeat-penalty 1.1": Sampling(temperature=0, repeat_penalty=1.1),
    "default chain, repeat-penalty 1.1": Sampling(repeat_penalty=1.1),
    "top-k 0, top-p 1, min-p 0.05": Sampling(top_k=0, top_p=1.0),
    "logprobs 5": Sampling(temperature=0, logprobs=5),
}
BOUND = "bound of the default chain"
Row = tuple[float, float, float]
Clock = Callable[[], float]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--devices", help="all layers on this one (default: on the CPU)")
    wanted = parser.parse_args()
    llama.start(lambda _level, _line: None, lambda text: print(text, file=sys.stderr))
    devices = (wanted.devices,) if wanted.devices else ()
    layers = 999 if devices else 0
    placement = Placement(devices, layers, layers, (1,) * len(devices), ctx=1024, threads=1)
    clock = time.perf_counter if devices else time.thread_time
    with tempfile.TemporaryDirectory() as folder:
        for path in [wanted.model] if wanted.model else (_random(Path(folder), size) for size in VOCABULARIES):
            _report(path, placement, wanted.rounds, clock)
    sys.stdout.flush()
    os._exit(0)


def _random(folder: Path, vocabulary: int) -> Path:
    model = geometry(f"vocabulary-{vocabulary}", Size(512, 2, 1024, vocabulary), Attention(8, 2, 64))
    return write(folder / f"{vocabulary}.gguf", model, "Q4_K_M")


def _report(path: Path, placement: Placement, rounds: int, clock: Clock) -> None:
    with closing(Model(str(path), placement)) as model, closing(Context(model, placement)) as context:
        rows: dict[str, list[Row]] = defaultdict(list)
        for _ in range(rounds + 1):
            for name, sampling in SETTINGS.items():
                rows[name].append(_measure(Sampler(model, sampling, seed=1), context, clock))
            rows[BOUND].append(_measure(Least(model.tokens), context, clock))
        print(f"vocabulary {model.tokens}, {statistics.median(one[0] for one in rows['greedy']) * 1e3:.2f} ms a token")
        print(f"{'':36}decode  behind, us  alone, us")
        for name, found in rows.items():
            pairs = zip(rows["greedy"][1:], found[1:], strict=True)
            ratio = statistics.median(greedy[0] / one[0] for greedy, one in pairs)
            behind, alone = (statistics.median(one[which] for one in found[1:]) * 1e6 for which in (1, 2))
            print(f"{name:36}{ratio:6.3f}  {behind:10.0f}  {alone:9.0f}")


class Least:
    """Draws what it likes, but does all that the default chain cannot do without."""

    def __init__(self, vocabulary: int) -> None:
        chain = Sampling().chain
        self._candidates, self._likeliest = Candidates(vocabulary), Shortlist(vocabulary, chain.top_k)
        self._tokens: Tokens | None = None
        self._chain = chain_of(chain, seed=1)

    def draw(self, context: Context) -> int:
        """One of those that were the likeliest at first."""
        logits = context.logits()
        if self._tokens is None:
            self._tokens = self._likeliest.exactly(logits)
        logits.max()
        self._candidates.fill(logits, self._tokens)
        self._candidates.apply(self._chain)
        return self._candidates.chosen

    def close(self) -> None:
        """Free the chain."""
        C.llama_sampler_free(self._chain)


def _measure(drawn: Sampler | Least, context: Context, clock: Clock) -> Row:
    """Seconds of a token with its decode, of its draw, and of a draw without a decode before it."""
    with closing(drawn) as sampler:
        context.keep(0)
        context.decode([Piece(0, 0, [1])])
        context.wait()
        drawing, started = 0.0, clock()
        for at in range(1, TOKENS + 1):
            begun = clock()
            token = sampler.draw(context)
            drawing += clock() - begun
            context.decode([Piece(0, at, [token])])
            context.wait()
        whole = clock() - started
        alone = []
        for _ in range(TOKENS):
            begun = clock()
            sampler.draw(context)
            alone.append(clock() - begun)
    return whole / TOKENS, drawing / TOKENS, statistics.median(alone)


if __name__ == "__main__":
    sys.exit(main())
