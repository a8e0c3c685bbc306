"""How fast llama.cpp itself answers several prompts at a time: llama_decode and the likeliest token, nothing else.

    python -m scripts.benchmarks.bare FILE.gguf [--prompts 64] [--tokens 100] [--sequences 8] [--threads 1]

No process beside it, no pipe, text, scheduler or sampler: the bound of what `scripts.benchmarks.parallel` measures,
which runs this in turns with its engines. So many prompts are read as one batch and answered side by side to their end,
then the next ones. Prints seconds of everything but the load, of the clock and of the processor.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from runner.engine import llama
from runner.engine.batch import Piece
from runner.engine.context import Context
from runner.engine.model import Model
from runner.types.placement import Placement
from scripts.benchmarks.prompts import CELLS, prompts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    for name, default in (("prompts", 64), ("tokens", 100), ("sequences", 8), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--devices", default="", help="all layers on these (default: on the CPU)")
    wanted = parser.parse_args()
    llama.start(lambda _level, _line: None, lambda text: print(text, file=sys.stderr))
    devices = tuple(filter(None, wanted.devices.split(",")))
    count, layers = wanted.sequences, 999 if devices else 0
    placement = Placement(
        devices, layers, layers, (1,) * len(devices), CELLS * max(count, 8),
        threads=wanted.threads, sequences=count, outputs=count,
    )  # fmt: skip
    model = Model(wanted.file, placement)
    context = Context(model, placement)
    asked = [model.tokenize(text, special=True) for text in prompts(wanted.prompts)]
    answer(context, asked[:count], 2)
    started, used = time.perf_counter(), time.process_time()
    for first in range(0, len(asked), count):
        answer(context, asked[first : first + count], wanted.tokens)
    print(time.perf_counter() - started, time.process_time() - used)
    sys.stdout.flush()
    os._exit(0)


def answer(context: Context, asked: Sequence[Sequence[int]], tokens: int) -> None:
    """Read these as one batch, and go on with each by so many tokens."""
    pieces = [Piece(sequence, 0, prompt) for sequence, prompt in enumerate(asked)]
    for sequence in range(len(asked)):
        context.keep(0, sequence)
    for _ in range(tokens):
        context.decode(pieces)
        ends = [sum(len(piece.tokens) for piece in pieces[: number + 1]) - 1 for number in range(len(pieces))]
        drawn = [int(context.logits(at).argmax()) for at in ends]
        pieces = [
            Piece(piece.sequence, piece.at + len(piece.tokens), [token])
            for piece, token in zip(pieces, drawn, strict=True)
        ]


if __name__ == "__main__":
    main()
