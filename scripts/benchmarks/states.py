"""A conversation that goes on from its state on disk against one that is read again: seconds, and bytes.

    python -m scripts.benchmarks.states FILE.gguf [--tokens 2000] [--kv f16] [--threads 1] [--rounds 3]

In turns, each in an engine that has just loaded: the prompt is read; or its state is restored, and only what is new is
read. The times are to the first token of the answer.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from runner.client.process import EngineProcess
from runner.types.commands import Count, Generate, KeepState, Load, RestoreState
from runner.types.generation import Chunk, Message, Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling

GREEDY = Sampling(temperature=0, max_tokens=1)
MORE = Message("user", "And what came next?")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    for name, default in (("tokens", 2000), ("threads", 1), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--kv", default="f16")
    wanted = parser.parse_args()
    placement = Placement((), 0, 0, (), ctx=wanted.tokens + 512, kv_type=wanted.kv, threads=wanted.threads)
    read, restored = [], []
    with tempfile.TemporaryDirectory() as folder, closing(EngineProcess(Path(folder) / "log")) as engine:
        state, load = Path(folder) / "a.state", Load(str(wanted.file), placement)
        engine.ask(load)
        asked = _conversation(engine, wanted.tokens)
        for _ in range(wanted.rounds):
            engine.ask(load)
            read.append(_first_token(engine, asked))
            history = (*asked, Message("assistant", "It was."), MORE)
            engine.ask(KeepState(str(state), "benchmark", history))
            engine.ask(load)
            begun = time.perf_counter()
            tokens = engine.ask(RestoreState(str(state), "benchmark"))
            assert tokens >= wanted.tokens, tokens
            restored.append(time.perf_counter() - begun)
        size = state.stat().st_size
    ratio = statistics.median(a / b for a, b in zip(read, restored, strict=True))
    print(f"{tokens} tokens, {wanted.kv}, {size / 1e6:.1f} MB: read in {statistics.median(read):.2f} s, restored in")
    print(f"{statistics.median(restored):.3f} s: {ratio:.0f} times as fast")
    return 0


def _conversation(engine: EngineProcess, tokens: int) -> tuple[Message, ...]:
    words = "The sea was calm and the old man went down to the rocks. "
    per = engine.ask(Count(raw=words * 10)) / 10
    return (Message("user", words * round(tokens / per)),)


def _first_token(engine: EngineProcess, asked: tuple[Message, ...]) -> float:
    begun = time.perf_counter()
    last: Chunk = [*engine.stream(Generate(Request(asked, sampling=GREEDY)))][-1]
    assert last.completion_tokens == 1
    return time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())
