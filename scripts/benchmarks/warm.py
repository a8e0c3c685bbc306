"""From a process's start to its first words: cold, warm, and llama.cpp's own program, in turns.

    python -m scripts.benchmarks.warm [MODEL] [--llama-completion PROGRAM FILE.gguf]

What the engine itself takes for the prompt (`ttft_s`) is told apart: the rest is Python, imports, sockets. Seconds of
a processor are what a busy machine stretches less: of the program that is typed, of a fork that does what it was
handed, of the server that keeps the engine. An empty Python says how much the machine stretches the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil

from models.errors import ExitCode
from runner.cli.main import main as run
from runner.cli.standby import get_ready

_ROUNDS = 9
_WORDS = 2
_PROMPT = "Name three colours."
_ASKED = ("-p", _PROMPT, "--temp", "0", "--max-tokens", str(_WORDS), "--no-stdin", "--jsonl")
_INSTALLED = "import sys; from localrun import main; sys.exit(main())"  # what the program `localrun` is
_OTHER_WISH = ("--margin", "1025m")  # it is not what is kept


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


def main() -> None:
    """Print the medians of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="smollm2-135m")
    parser.add_argument("--llama-completion", nargs=2, metavar=("PROGRAM", "FILE"))
    wanted = parser.parse_args()
    asked = (wanted.model, *_ASKED)
    ways: dict[str, Callable[[], Start]] = {
        "an empty Python": lambda: _said_first(_python("print()")),
        "warm": lambda: _start(asked),
        "cold": lambda: _start((*asked, *_OTHER_WISH)),
    }
    if wanted.llama_completion:
        ways["llama-completion, cold"] = lambda: _said_first(_completion(*wanted.llama_completion))
    _start((*asked, "--keep", "10m"))
    try:
        found = _in_turns(ways)
        forked = statistics.median(_forked_s(asked) for _ in range(_ROUNDS))
    finally:
        subprocess.run(_command(("stop",)), capture_output=True, check=False)
    print(f"load average {os.getloadavg()[0]:.1f}")
    for name, starts in found.items():
        print(f"{name}: {_told(starts)}")
    print(f"a fork that does the command: {forked:.3f} s of a processor")


def _in_turns(ways: dict[str, Callable[[], Start]]) -> dict[str, list[Start]]:
    (row,) = json.loads(subprocess.run(_command(("ps", "--json")), capture_output=True, check=True).stdout)
    server = psutil.Process(row["pid"])
    served: list[float] = []
    found: dict[str, list[Start]] = {name: [] for name in ways}
    for _ in range(_ROUNDS):
        for name, way in ways.items():
            before = _used(server)
            found[name].append(way())
            if name == "warm":
                served.append(_used(server) - before)
    print(f"the server: {statistics.mean(served):.3f} s of a processor for a command")
    return found


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _told(starts: Sequence[Start]) -> str:
    first, beyond, cpu = (
        statistics.median(getattr(one, field) for one in starts) for field in ("first_s", "beyond_s", "cpu_s")
    )
    least = min(one.beyond_s for one in starts)
    prefill = f", {beyond:.3f} s without the prefill ({least:.3f} s at best)" if beyond < first else ""
    return f"first words after {first:.3f} s{prefill}; {cpu:.3f} s of a processor"


def _start(words: Sequence[str]) -> Start:
    used, begun = _processor_s(), time.perf_counter()
    with subprocess.Popen(_command(words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert "delta" in process.stdout.readline(), "no answer"
        first = time.perf_counter() - begun
        *_, last = process.stdout
    return Start(first, json.loads(last)["timings"]["ttft_s"], _processor_s() - used)


def _said_first(command: Sequence[str]) -> Start:
    """Of a program that says nothing but its words."""
    used, begun = _processor_s(), time.perf_counter()
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet) as process:
        assert process.stdout is not None
        assert process.stdout.read(1), "no words"
        first = time.perf_counter() - begun
        process.stdout.read()
    return Start(first, 0.0, _processor_s() - used)


def _forked_s(words: Sequence[str]) -> float:
    """Seconds of a processor that a fork takes for a command, as one does of who stands ready."""
    get_ready()
    if (child := os.fork()) == 0:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        code = run(words, lambda _options: ExitCode.USAGE, is_warm=True)
        sys.stdout.flush()
        os._exit(code)
    _, status, used = os.wait4(child, 0)
    assert not status, "the fork has not done it"
    return used.ru_utime + used.ru_stime


def _completion(program: str, file: str) -> list[str]:
    how = ("-no-cnv", "--no-display-prompt", "--temp", "0")
    return [program, "-m", file, "-p", _PROMPT, "-n", str(_WORDS), *how]


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _command(words: Sequence[str]) -> list[str]:
    return [*_python(_INSTALLED), *words]


def _python(code: str) -> list[str]:
    return [sys.executable, "-P", "-c", code]


if __name__ == "__main__":
    main()
