"""With guesses and without, in turns, in one engine: a text said again with a word changed, and free prose.

    python -m scripts.benchmarks.drafts FILE [--threads 1] [--rounds 5]

Medians of the ratios of each round, by the clock and by processor time, which a busy machine disturbs less. First the
bound: how many tokens a second a batch of k brings, over those of single ones; no guess can gain more.
"""

import argparse
import statistics
import time
from pathlib import Path

from models.errors import LocalrunError
from runner.engine import llama
from runner.engine.batch import Piece
from runner.engine.context import Context
from runner.engine.generator import Generator
from runner.engine.model import Model
from runner.types.generation import Chunk, Phase, Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling

MOST = 15
STORY = (
    "The old lighthouse stood at the end of the pier. Every evening the keeper climbed the stairs, lit the lamp, and "
    "watched the ships come home. In winter the waves were higher than the wall, and the spray froze on the glass. He "
    "had a dog, two chairs, and a shelf of books that he had read so often that he knew them by heart. When the storm "
    "came in March, nobody had seen him for a week, and the children of the village carried bread and lamp oil along "
    "the wall. He thanked them, and in the evening the light was there again."
)
JOBS = {
    "again": Request(
        raw=f"{STORY}\n\nThe same story, but with a cat in place of the dog:\n\n{STORY[:150]}",
        sampling=Sampling(temperature=0, repeat_penalty=1, max_tokens=140),
        ignore_end=True,
    ),
    "prose": Request(
        raw="A letter from a sailor to his sister about the sea, the weather and the people on board. Dear sister,",
        sampling=Sampling(temperature=0.8, max_tokens=160, seed=1),
        ignore_end=True,
    ),
}


class Asker:
    """Keeps the last step and when decoding began, by the clock and by processor time."""

    is_cancelled = False

    def __init__(self) -> None:
        self.last: Chunk | None = None
        self.began: tuple[float, float] | None = None

    def tell(self, chunk: Chunk) -> None:
        """A step of the answer."""
        if chunk.phase is not Phase.PREFILL and self.began is None:
            self.began = time.perf_counter(), time.process_time()
        self.last = chunk

    def fail(self, error: LocalrunError) -> None:
        """The benchmark ends."""
        raise error


def seconds(generator: Generator, request: Request, *, drafts: bool) -> tuple[float, float, Chunk]:
    """(by the clock, by processor time, last chunk) of the answer behind its first token."""
    asker = Asker()
    generator.begin(Request(raw=request.raw, sampling=request.sampling, ignore_end=True, drafts=drafts), asker)
    while generator.is_busy:
        generator.step()
    assert asker.began is not None and asker.last is not None
    return time.perf_counter() - asker.began[0], time.process_time() - asker.began[1], asker.last


def bound(path: str, placement: Placement, rounds: int) -> tuple[int, float]:
    """The batch that brings most tokens a second, and how many times as many as single ones."""
    model = Model(path, placement)
    context = Context(model, placement)
    tokens = model.tokenize(STORY, special=False)
    context.decode([Piece(0, 0, tokens)])
    taken: dict[int, list[float]] = {}
    for _ in range(rounds):
        for size in (1, 2, 3, 4, 6, 8, 12, 16):
            began = time.process_time()
            context.decode([Piece(0, len(tokens), tokens[:size])])
            context.logits(size - 1)
            taken.setdefault(size, []).append(time.process_time() - began)
            context.roll_back(len(tokens), 0)
    single = statistics.median(taken[1])
    gains = {size: size * single / statistics.median(times) for size, times in taken.items()}
    print("a batch takes", ", ".join(f"of {size} {size / gain:.2f}" for size, gain in gains.items()))
    context.close()
    model.close()
    best = max(gains, key=gains.__getitem__)
    return best, gains[best]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    llama.start(lambda _level, _line: None, lambda _text: None)
    placement = Placement((), 0, 0, (), ctx=2048, threads=options.threads, drafts=MOST, outputs=MOST + 1)
    size, gain = bound(str(options.file), placement, options.rounds)
    print(f"bound: {gain:.2f} x, in batches of {size}")
    generator = Generator(str(options.file), placement, lambda _done: True, lambda: None)
    for name, request in JOBS.items():
        rounds = []
        for number in range(options.rounds + 1):
            first = bool(number % 2)
            found = {drafts: seconds(generator, request, drafts=drafts) for drafts in (first, not first)}
            rounds.append((found[False][0] / found[True][0], found[False][1] / found[True][1]))
        clock, processor = (statistics.median(values) for values in zip(*rounds[1:], strict=True))  # the first warms up
        print(f"{name}: {clock:.2f} x by the clock, {processor:.2f} x by processor time; {found[True][2].draft}")
    generator.close()


if __name__ == "__main__":
    main()
