"""One answer alone in two states of this program, in turns: what its engine takes of the processor for a token.

    python -m scripts.benchmarks.alone ../before [--rounds 8] [--tokens 192]

Each state loads once and answers again and again; start, load and prompt do not count. Ours comes twice, with guesses
and without. Medians, and medians of the speeds over the other state's of the same round.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
from pathlib import Path

import psutil

from runner.client.session import EngineSession
from runner.service.service import LocalService
from runner.types.generation import Message, Request
from runner.types.sampling import Sampling
from runner.types.wish import Wish

HERE = Path(__file__).parents[2]
ANSWER = "--answer"  # this file as a worker over either state, whose modules it imports


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the checkout to compare with")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=192)
    wanted = parser.parse_args()
    other = wanted.other.resolve()
    workers = {
        "other": _worker(other, "lookup", wanted.tokens),
        "ours, no guesses": _worker(HERE, "off", wanted.tokens),
        "ours": _worker(HERE, "lookup", wanted.tokens),
    }
    took: dict[str, list[float]] = {name: [] for name in workers}
    for number in range(wanted.rounds + 1):  # the first one warms up
        for name in list(workers)[:: 1 if number % 2 else -1]:
            seconds = _asked(workers[name])
            if number:
                took[name].append(seconds)
    for name, each in took.items():
        speed = statistics.median(before / own for before, own in zip(took["other"], each, strict=True))
        print(f"{name:18}{statistics.median(each) * 1e3:6.2f} ms of the processor a token, speed {speed:.3f}")
    for worker in workers.values():
        worker.communicate()


def _worker(checkout: Path, draft: str, tokens: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(checkout), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-P", __file__, ANSWER, draft, str(tokens)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)


def _asked(worker: subprocess.Popen[str]) -> float:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("\n")
    worker.stdin.flush()
    return float(worker.stdout.readline())


def answer(draft: str, tokens: int) -> None:
    """For each line that comes: answer, and say the engine's seconds a token, from the first word on."""
    wish = Wish(threads=1)
    if "draft" in {field.name for field in dataclasses.fields(Wish)}:
        wish = dataclasses.replace(wish, draft=draft)
    service = LocalService()
    plan = service.plan("smollm2-135m", wish)
    *_, session = service.load(plan, service.chosen(plan))
    assert isinstance(session, EngineSession)
    story = Message("user", "Write a long story about the sea.")
    asked = Request((story,), None, Sampling(temperature=0, max_tokens=tokens), ignore_end=True, reuse=False)
    for _ in sys.stdin:
        begun = None
        for chunk in session.ask(asked):
            if begun is None and chunk.completion_tokens:
                begun, already = _engine_s(), chunk.completion_tokens
        assert begun is not None
        print((_engine_s() - begun) / (chunk.completion_tokens - already), flush=True)
    service.close()


def _engine_s() -> float:
    times = [one.cpu_times() for one in psutil.Process().children(recursive=True)]
    return sum(one.user + one.system for one in times)


if __name__ == "__main__":
    if sys.argv[1:2] == [ANSWER]:
        answer(sys.argv[2], int(sys.argv[3]))
    else:
        main()
