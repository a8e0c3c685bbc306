"""`python -m scripts.benchmarks.warm [MODEL]`: from a process's start to its first words, cold and warm, in turns.

What the engine itself takes for the prompt (`ttft_s`) is told apart: the rest is Python, imports and the socket. The
processor time is that of the command alone, which a busy machine stretches less than the clock.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

_ROUNDS = 9
_ASKED = ("-p", "Name three colours.", "--temp", "0", "--max-tokens", "2", "--no-stdin")


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds to the first words, those of the engine among them, and those of a processor until the end."""

    first_s: float
    ttft_s: float
    cpu_s: float

    @property
    def beyond_s(self) -> float:
        """What is not the engine's."""
        return self.first_s - self.ttft_s


def main(model: str = "smollm2-135m") -> None:
    """Print the medians of both."""
    _start((model, *_ASKED, "--keep", "10m"))
    cold, warm = [], []
    try:
        for _ in range(_ROUNDS):
            cold.append(_start((model, *_ASKED, "--margin", "1025m")))  # another wish: it is not what is kept
            warm.append(_start((model, *_ASKED)))
    finally:
        subprocess.run(_command(("stop",)), capture_output=True, check=False)
    print(f"load average {os.getloadavg()[0]:.1f}")
    for name, starts in (("cold", cold), ("warm", warm)):
        first, beyond, cpu = (
            statistics.median(getattr(one, field) for one in starts) for field in ("first_s", "beyond_s", "cpu_s")
        )
        print(
            f"{name}: first words after {first:.3f} s, {beyond:.3f} s without the prefill; {cpu:.3f} s of a processor"
        )


def _start(words: Sequence[str]) -> Start:
    used, begun = _processor_s(), time.perf_counter()
    command = _command((*words, "--jsonl"))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert "delta" in process.stdout.readline(), "no answer"
        first = time.perf_counter() - begun
        *_, last = process.stdout
    return Start(first, json.loads(last)["timings"]["ttft_s"], _processor_s() - used)


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-P", "-m", "localrun", *words]


if __name__ == "__main__":
    main(*sys.argv[1:])
