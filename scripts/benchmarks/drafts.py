"""With guesses and without, in turns, in one engine: a text said again with a word changed, and free prose.

    python -m scripts.benchmarks.drafts FILE [--threads 1] [--rounds 5] [--companion FILE | mtp] [--jobs prose]

Medians of the ratios of each round, by the clock and by processor time, which a busy machine disturbs less. In the same
rounds the bound: how many tokens a second a batch of k brings, over those of single ones, as deep in a text as in the
middle of the first; no guess can gain more.

For a small model changes more than it was asked to, the story that is said again with a word changed is held to that by
a grammar; `retold` is what the model makes of it by itself.
"""

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

from models.errors import LocalrunError
from runner.engine import llama
from runner.engine.batch import Piece
from runner.engine.context import Context
from runner.engine.generator import Generator
from runner.engine.model import Model
from runner.types.drafts import DraftKind
from runner.types.generation import Chunk, Phase, Request
from runner.types.placement import Companion, Placement
from runner.types.sampling import Sampling

MOST = 15
SIZES = (1, 2, 4, 8, 12, 16)
STORY = (
    "The old lighthouse stood at the end of the pier. Every evening the keeper climbed the stairs, lit the lamp, and "
    "watched the ships come home. In winter the waves were higher than the wall, and the spray froze on the glass. He "
    "had a dog, two chairs, and a shelf of books that he had read so often that he knew them by heart. When the storm "
    "came in March, nobody had seen him for a week, and the children of the village carried bread and lamp oil along "
    "the wall. He thanked them, and in the evening the light was there again."
)
LATER = (
    " In spring a ship from the north lay in the bay for nine days. Its captain came up every evening, drank tea, and "
    "told of towns where the sun did not set before midnight. The keeper listened, for he had never been further than "
    "the market, and he asked how the bread was there and who lit the lamps. On the last evening the captain left him "
    "a map on which all lighthouses of that coast were red dots. It hangs over the table to this day, and whoever "
    "climbs the stairs is shown where the ship went, dot by dot, until the tea is cold."
)
_GREEDY = Sampling(temperature=0, repeat_penalty=1, max_tokens=140)
_AGAIN = f"{STORY}{LATER}\n\nThe same story, but with a cat in place of the dog:\n\n"
_CHANGED = (STORY + LATER).replace("a dog", "a cat")
JOBS = {
    "again": Request(
        raw=_AGAIN,
        sampling=replace(_GREEDY, max_tokens=300, grammar=f'root ::= "{_CHANGED}"'),
    ),
    "retold": Request(
        raw=f"{STORY}\n\nThe same story, but with a cat in place of the dog:\n\n{STORY[:150]}",
        sampling=_GREEDY,
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
    generator.begin(replace(request, drafts=drafts), asker)
    while generator.is_busy:
        generator.step()
    assert asker.began is not None and asker.last is not None
    return time.perf_counter() - asker.began[0], time.process_time() - asker.began[1], asker.last


class Bound:
    """Batches of many sizes in the midst of the text that is said again, one of each in a round."""

    def __init__(self, path: str, placement: Placement) -> None:
        self._model = Model(path, placement)
        self._context = Context(self._model, placement)
        self._tokens = self._model.tokenize(_AGAIN + STORY, special=False)
        self._context.decode([Piece(0, 0, self._tokens)])
        self._taken: dict[int, list[float]] = {size: [] for size in SIZES}

    def round(self) -> None:
        """A batch of each size, whose tokens all have logits."""
        start = len(self._tokens)
        for size, taken in self._taken.items():
            began = time.process_time()
            self._context.decode([Piece(0, start, self._tokens[:size], guesses=size - 1)])
            self._context.logits(size - 1)
            taken.append(time.process_time() - began)
            self._context.roll_back(start, 0)

    @property
    def costs(self) -> dict[int, float]:
        """Of a batch of each size, in batches of one."""
        single = statistics.median(self._taken[1])
        return {size: statistics.median(taken) / single for size, taken in self._taken.items()}

    def close(self) -> None:
        """Free everything."""
        self._context.close()
        self._model.close()


def in_turns(generator: Generator, request: Request, bound: Bound, rounds: int) -> tuple[float, float, Chunk]:
    """(times as fast by the clock, by processor time, last chunk) with guesses; the first round only warms up."""
    ratios = []
    for number in range(rounds + 1):
        first = bool(number % 2)
        found = {drafts: seconds(generator, request, drafts=drafts) for drafts in (first, not first)}
        ratios.append((found[False][0] / found[True][0], found[False][1] / found[True][1]))
        bound.round()
    clock, processor = (statistics.median(values) for values in zip(*ratios[1:], strict=True))
    return clock, processor, found[True][2]


def _companion(name: str | None, threads: int) -> Companion | None:
    if name is None or name == DraftKind.MTP:
        return Companion(DraftKind.MTP) if name else None
    return Companion(DraftKind.MODEL, name, Placement((), 0, 0, (), ctx=2048, threads=threads))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--companion", metavar="FILE", help="a small model that guesses, too, or mtp")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    options = parser.parse_args()
    llama.start(lambda _level, _line: None, lambda _text: None)
    placement = Placement((), 0, 0, (), ctx=2048, threads=options.threads, drafts=MOST, outputs=MOST + 1)
    beside = replace(placement, companion=_companion(options.companion, options.threads))
    generator = Generator(str(options.file), beside, lambda _done: True, lambda: None)
    bound = Bound(str(options.file), placement)
    for name in options.jobs:
        request = JOBS[name]
        clock, processor, last = in_turns(generator, request, bound, options.rounds)
        print(f"{name}: {clock:.2f} x by the clock, {processor:.2f} x by processor time; {last.draft}")
    print("a batch takes", ", ".join(f"of {size} {cost:.2f}" for size, cost in bound.costs.items()))
    print(f"bound: {max(size / cost for size, cost in bound.costs.items()):.2f} x")
    bound.close()
    generator.close()


if __name__ == "__main__":
    main()
