"""How long an answer waits for its next token while a long prompt is read beside it.

    python -m scripts.benchmarks.stalls FILE.gguf [--answers 1] [--prompt 1000] [--threads 1]

Runs the engine in this very process. Each step, with the next token of every answer, is timed by the clock and by the
processor: with one thread others on the machine count less there. The bound is a step with one token of the prompt.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time

from models.errors import LocalrunError
from runner.engine import llama
from runner.engine.generator import Generator
from runner.types.generation import Chunk, Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling

WORDS = "one two three four "
BEGUN = 16  # tokens of the answers before the prompt comes
Took = tuple[float, float]
"""Seconds of a step, of the clock and of the processor."""


class Asker:
    """Notes how many tokens have come, and the end."""

    is_cancelled = False

    def __init__(self) -> None:
        self.tokens, self.is_done = 0, False

    def tell(self, chunk: Chunk) -> None:
        """A step of the answer."""
        self.tokens, self.is_done = chunk.completion_tokens, chunk.finish is not None

    def fail(self, error: LocalrunError) -> None:
        """Ends the benchmark."""
        raise error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--answers", type=int, default=1)
    parser.add_argument("--prompt", type=int, default=1000, help="words of the prompt, a token each")
    parser.add_argument("--threads", type=int, default=1)
    wanted = parser.parse_args()
    llama.start(lambda _level, _line: None, lambda text: print(text, file=sys.stderr))
    count = wanted.answers + 1
    placement = Placement((), 0, 0, (), ctx=4096 * count, threads=wanted.threads, sequences=count, outputs=count)
    generator = Generator(wanted.file, placement, lambda _fraction: True, lambda: None)
    answers = [_asked(generator, "The sea", None) for _ in range(wanted.answers)]
    alone: list[Took] = []
    while min(one.tokens for one in answers) < BEGUN:
        alone.append(_step(generator))
    beside, prompt = [], _asked(generator, WORDS * (wanted.prompt // 4), 1)
    while not prompt.is_done:
        beside.append(_step(generator))
    for name, which in (("clock", 0), ("processor", 1)):
        bare = statistics.median(took[which] for took in alone[-BEGUN // 2 :])
        each = sorted(took[which] for took in beside)
        print(
            f"{name}: {bare:.3f} s without a prompt; beside it {len(each)} steps, "
            f"median {statistics.median(each):.3f}, "
            f"19 of 20 within {each[len(each) * 19 // 20]:.3f}, longest {each[-1]:.3f} s"
        )
    sys.stdout.flush()
    os._exit(0)


def _asked(generator: Generator, text: str, tokens: int | None) -> Asker:
    sampling = Sampling(temperature=0, max_tokens=tokens)
    generator.begin(Request(raw=text, sampling=sampling, ignore_end=True, reuse=False), asker := Asker())
    return asker


def _step(generator: Generator) -> Took:
    clock, processor = time.perf_counter(), time.process_time()
    generator.step()
    return time.perf_counter() - clock, time.process_time() - processor


if __name__ == "__main__":
    main()
