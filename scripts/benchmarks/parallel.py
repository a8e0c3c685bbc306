"""Many prompts at once against one at a time: tokens per second of all, and how long streams stall meanwhile.

    python -m scripts.benchmarks.parallel FILE.gguf [--prompts 64] [--tokens 100] [--parallel 8] [--threads 1]
        [--rounds 3] [--llama-server PATH]

One engine with one sequence and one with --parallel answer the same greedy prompts in turns, and so does llama.cpp by
itself (`bare`: scripts.benchmarks.bare), which is the bound; with --llama-server, that one with as many slots, too.
Tokens per second of the clock, and of the processor (of the process that computes), where others on the machine count
less; with several threads these wait for each other busily, so that it says little.
`stall`: the longest time between two pieces of an answer while a prompt of 1000 tokens is read beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from runner.client.process import EngineProcess
from runner.client.spawn import DEFAULTS as ENGINE_SETTINGS
from runner.types.commands import Generate, Load
from runner.types.generation import Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling
from scripts.benchmarks.prompts import CELLS, prompts
from scripts.benchmarks.servers import llama_server, processor_s, used_s

LONG = "one two three four " * 250
Answer = Callable[[str, int], int]


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens of answers per second of the clock and of the processor."""

    clock: float
    processor: float


Rival = Callable[[int, int], Speed]
"""How so many prompts are answered, with so many tokens each."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    for name, default in (("prompts", 64), ("tokens", 100), ("parallel", 8), ("threads", 1), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--devices", default="", help="all layers on these (default: on the CPU)")
    parser.add_argument("--llama-server", type=Path)
    wanted = parser.parse_args()
    devices = tuple(filter(None, wanted.devices.split(",")))
    layers, ctx = (999 if devices else 0), CELLS * max(wanted.parallel, 8)
    one = Placement(devices, layers, layers, (1,) * len(devices), ctx, threads=wanted.threads)
    several = replace(one, sequences=wanted.parallel, outputs=wanted.parallel)
    with contextlib.ExitStack() as stack:
        engines = {1: _engine(wanted.file, one), wanted.parallel: _engine(wanted.file, several)}
        rivals: dict[str, Rival] = {
            f"{count} at a time": partial(_speed, stack.enter_context(engine), count)
            for count, engine in engines.items()
        }
        for count in engines:
            rivals[f"bare, {count}"] = partial(_bare, wanted.file, replace(several, sequences=count))
        if wanted.llama_server:
            served = stack.enter_context(_server(wanted.llama_server, wanted.file, several))
            rivals["llama-server"] = partial(_speed, served, wanted.parallel)
        _compare(rivals, wanted.prompts, wanted.tokens, wanted.rounds)
    with closing(EngineProcess(Path("/dev/null"))) as engine:
        engine.ask(Load(str(wanted.file), several))
        print(f"longest stall beside a prompt of 1000 tokens: {_stall_s(engine):.3f} s")
    return 0


def _compare(rivals: dict[str, Rival], count: int, tokens: int, rounds: int) -> None:
    speeds: dict[str, list[Speed]] = {name: [] for name in rivals}
    for number in range(rounds):
        for name in list(rivals)[:: 1 if number % 2 else -1]:
            speeds[name].append(rivals[name](count, tokens))
    for name, found in speeds.items():
        alone = speeds["bare, 1" if name.startswith("bare") else "1 at a time"]
        for clock in ("clock", "processor"):
            each = [getattr(speed, clock) for speed in found]
            ratios = [own / getattr(one, clock) for own, one in zip(each, alone, strict=True)]
            print(
                f"{name:14}{clock:10}{statistics.median(each):7.1f} tok/s ({', '.join(f'{one:.1f}' for one in each)}), "
                f"{statistics.median(ratios):.2f} of one at a time",
                flush=True,
            )


def _bare(file: Path, placement: Placement, count: int, tokens: int) -> Speed:
    settings = {
        "prompts": count, "tokens": tokens, "sequences": placement.sequences, "threads": placement.threads,
        "devices": ",".join(placement.devices),
    }  # fmt: skip
    words = [f"--{name}={value}" for name, value in settings.items()]
    environment = {**ENGINE_SETTINGS, **os.environ}
    command = [sys.executable, "-m", "scripts.benchmarks.bare", str(file), *words]
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return Speed(*(count * tokens / float(seconds) for seconds in told.split()))


def _speed(answer: Answer, at_once: int, count: int, tokens: int) -> Speed:
    texts = prompts(count)
    started, before = time.perf_counter(), processor_s()
    with ThreadPoolExecutor(at_once) as pool:
        told = sum(pool.map(lambda text: answer(text, tokens), texts))
    return Speed(told / (time.perf_counter() - started), told / used_s(before))


@contextmanager
def _engine(file: Path, placement: Placement) -> Iterator[Answer]:
    with closing(EngineProcess(Path("/dev/null"))) as process:
        process.ask(Load(str(file), placement))

        def answer(text: str, tokens: int) -> int:
            sampling = Sampling(temperature=0, max_tokens=tokens)
            asked = Generate(Request(raw=text, sampling=sampling, ignore_end=True, reuse=False, is_watched=False))
            *_, last = process.stream(asked)
            return last.completion_tokens

        yield answer


@contextmanager
def _server(program: Path, file: Path, placement: Placement) -> Iterator[Answer]:
    with llama_server(program, file, placement) as port:
        yield lambda text, tokens: _complete(port, text, tokens)


def _complete(port: int, text: str, tokens: int) -> int:
    asked = {"prompt": text, "n_predict": tokens, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/completion", json.dumps(asked).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        return int(json.load(response)["tokens_predicted"])


def _stall_s(engine: EngineProcess) -> float:
    """The longest time without a word in an answer beside which a long prompt is read."""
    story = Generate(Request(raw="The sea", sampling=Sampling(temperature=0), ignore_end=True))
    times: list[float] = []
    is_said = threading.Event()

    def hear() -> None:
        for chunk in engine.stream(story):
            times.append(time.perf_counter())
            if chunk.completion_tokens > 8:
                is_said.set()

    listener = threading.Thread(target=hear)
    listener.start()
    is_said.wait()
    began = time.perf_counter()
    list(engine.stream(Generate(Request(raw=LONG, sampling=Sampling(max_tokens=1), reuse=False))))
    engine.stop(story)
    listener.join()
    return max(later - before for before, later in itertools.pairwise(times) if before > began)


if __name__ == "__main__":
    sys.exit(main())
