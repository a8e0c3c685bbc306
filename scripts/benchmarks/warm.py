"""`python -m scripts.benchmarks.warm [MODEL]`: from a process's start to its first character, cold and warm, in turns.

What the engine itself takes for the prompt (`ttft_s`) is told apart: the rest is Python, imports and the socket.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

_ROUNDS = 7
_ASKED = ("-p", "Name three colours.", "--temp", "0", "--max-tokens", "1", "--no-stdin")


def main(model: str = "smollm2-135m") -> None:
    """Print the medians of both, in seconds."""
    cold, warm = [], []
    _first_character((model, *_ASKED, "--keep", "10m"))
    try:
        for _ in range(_ROUNDS):
            cold.append(_first_character((model, *_ASKED, "--threads", "2", "--margin", "1025m")))
            warm.append(_first_character((model, *_ASKED)))
        done = subprocess.run(_command((model, *_ASKED, "--json")), capture_output=True, text=True, check=True)
        ttft = json.loads(done.stdout)["timings"]["ttft_s"]
    finally:
        subprocess.run(_command(("stop",)), capture_output=True, check=False)
    print(f"cold {statistics.median(cold):.3f} s, warm {statistics.median(warm):.3f} s ({min(warm):.3f} at best)")
    print(f"of which the warm engine's own time to its first token: {ttft:.3f} s")


def _first_character(words: Sequence[str]) -> float:
    begun = time.perf_counter()
    with subprocess.Popen(_command(words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ) as done:
        assert done.stdout is not None
        assert done.stdout.read(1), "no answer"
        return time.perf_counter() - begun


def _command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-P", "-m", "localrun", *words]


if __name__ == "__main__":
    main(*sys.argv[1:])
