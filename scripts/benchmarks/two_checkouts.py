"""Two states of this program against each other, in turns: start, import, first token, decode.

    python -m scripts.benchmarks.two_checkouts ../before [--rounds 9] [--only help]

Both run in this environment, the other one through PYTHONPATH, and keep their bytecode as an installed program does
(without it a start compiles all that it imports). Medians of wall and processor time, ours over theirs.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parents[2]
MODEL = "smollm2-135m"
JOBS: Mapping[str, Sequence[str]] = {
    "import localrun": ("-c", "import localrun"),
    "--help": ("-m", "localrun", "--help"),
    "first token": ("-m", "localrun", MODEL, "-p", "Say hi.", "--max-tokens", "1", "--threads", "1"),
    "decode": (
        *("-m", "localrun", MODEL, "-p", "Write a long story about the sea."),
        *("--max-tokens", "160", "--temp", "0", "--threads", "1"),
    ),
}


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of one run, its children included."""

    wall: float
    processor: float


def run(checkout: Path, words: Sequence[str], home: str) -> Took:
    """One run of Python with `words` over a checkout, its output thrown away."""
    folders = {f"XDG_{kind}_HOME": f"{home}/{kind}" for kind in ("DATA", "CONFIG", "STATE", "CACHE")}
    environment = {
        **os.environ, **folders, "PYTHONPATH": str(checkout), "HF_HOME": f"{home}/hf", "HF_HUB_OFFLINE": "1",
        "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{home}/bytecode",
    }  # fmt: skip
    before, started = _processor(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-P", *words], env=environment, check=True, stdin=subprocess.DEVNULL, capture_output=True
    )
    return Took(time.perf_counter() - started, _processor() - before)


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(words: Sequence[str], other: Path, rounds: int, home: str) -> tuple[Took, Took]:
    """Medians of theirs and ours; who goes first changes from round to round, and a first round warms up."""
    took: dict[Path, list[Took]] = {other: [], HERE: []}
    for number in range(rounds + 1):
        for checkout in list(took)[:: 1 if number % 2 else -1]:
            one = run(checkout, words, home)
            if number:
                took[checkout].append(one)
    theirs, ours = (_median(runs) for runs in took.values())
    return theirs, ours


def _median(runs: Sequence[Took]) -> Took:
    return Took(statistics.median(one.wall for one in runs), statistics.median(one.processor for one in runs))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.benchmarks.two_checkouts", description=__doc__)
    parser.add_argument("other", type=Path, help="the checkout to compare with")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="", help="the jobs with this in their name")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        for name, words in JOBS.items():
            if arguments.only in name:
                theirs, ours = compare(words, arguments.other.resolve(), arguments.rounds, home)
                print(
                    f"{name:16} wall {theirs.wall:.3f} -> {ours.wall:.3f} s, ratio {ours.wall / theirs.wall:.3f}; "
                    f"processor {theirs.processor:.3f} -> {ours.processor:.3f} s, "
                    f"ratio {ours.processor / theirs.processor:.3f}"
                )


if __name__ == "__main__":
    main()
