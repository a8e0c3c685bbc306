"""How much of decoding passes outside llama_decode: sampling, text, Python. llama-bench does none of it.

    python -m scripts.benchmarks.overhead FILE.gguf [--threads 1] [--rounds 5] [--answers 1] [--default-chain]

Runs the engine in this very process, so that a noisy machine disturbs both shares alike; with one thread, seconds are
those of the processor, so that others on the machine do not count. Prints per round the share of the time outside
llama_decode, and microseconds per token for sampling and for the rest.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from models.errors import LocalrunError
from runner.engine import llama
from runner.engine.context import Context
from runner.engine.generator import Generator
from runner.engine.sampler import Sampler
from runner.types.generation import Chunk, Phase, Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling

TOKENS = 128
Clock = Callable[[], float]


class Watch:
    """Adds up the seconds spent in a method."""

    def __init__(self, clock: Clock, owner: type, name: str, after: Callable[[Any], None] = lambda _self: None) -> None:
        self.seconds = 0.0
        method = getattr(owner, name)

        def timed(own: Any, *arguments: Any) -> Any:
            started = clock()
            result = method(own, *arguments)
            after(own)
            self.seconds += clock() - started
            return result

        setattr(owner, name, timed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--answers", type=int, default=1, help="so many at a time")
    parser.add_argument("--default-chain", action="store_true", help="draw from it (default: greedy)")
    wanted = parser.parse_args()
    llama.start(lambda _level, _line: None, lambda text: print(text, file=sys.stderr))
    count = wanted.answers
    placement = Placement((), 0, 0, (), ctx=2048, threads=wanted.threads, sequences=count, outputs=count)
    generator = Generator(wanted.file, placement, lambda _fraction: True, lambda: None)
    clock = time.thread_time if wanted.threads == 1 else time.perf_counter
    decode = Watch(clock, Context, "step" if count == 1 else "decode", Context.wait)
    sample = Watch(clock, Sampler, "draw")
    shares = []
    for _ in range(wanted.rounds + 1):
        askers = [Asker(clock, (decode, sample)) for _ in range(count)]
        total = decoding_seconds(generator, clock, wanted.default_chain, askers)
        rest = total - decode.seconds - sample.seconds
        shares.append(1 - decode.seconds / total)
        each = 1e6 / TOKENS / count
        print(
            f"outside {shares[-1]:.2%}: sampling {sample.seconds * each:.0f} us, the rest {rest * each:.0f} us a token"
        )
    print(f"median {statistics.median(shares[1:]):.2%}")
    sys.stdout.flush()
    os._exit(0)


class Asker:
    """Notes when the first token comes, and lets what is added up start there."""

    is_cancelled = False

    def __init__(self, clock: Clock, watches: Sequence[Watch]) -> None:
        self.started, self._clock, self._watches = 0.0, clock, watches

    def tell(self, chunk: Chunk) -> None:
        """A step of the answer."""
        if not self.started and chunk.phase is Phase.DECODE:
            self.started = self._clock()
            for watch in self._watches:
                watch.seconds = 0.0

    def fail(self, error: LocalrunError) -> None:
        """Ends the benchmark."""
        raise error


def decoding_seconds(generator: Generator, clock: Clock, is_drawn: bool, askers: Sequence[Asker]) -> float:
    """Seconds from the first tokens of answers, which come in one step, to their end."""
    sampling = Sampling(max_tokens=TOKENS + 1) if is_drawn else Sampling(temperature=0, max_tokens=TOKENS + 1)
    request = Request(raw="The", sampling=sampling, ignore_end=True, reuse=False)
    for asker in askers:
        generator.begin(request, asker)
    while generator.is_busy:
        generator.step()
    return clock() - max(asker.started for asker in askers)


if __name__ == "__main__":
    sys.exit(main())
