"""What the screen costs: decode with the TUI over decode without, in turns, on the same prompt.

    python -m scripts.benchmarks.screen [--model smollm2-135m] [--threads 1] [--rounds 5] [--tokens 200]

Prints the ratio of medians and of bests, the share of a core that the screen's process takes while the model writes,
the seconds to the first paint, and how long Escape takes to stop an answer.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import re
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from contextlib import suppress
from dataclasses import dataclass

import psutil

PROMPT = "Write a long story about the sea."
_ESCAPES = re.compile(rb"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[PX^_].*?\x1b\\|[ -/]*[0-~])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer on the screen: tokens per second, share of a core, seconds to the first paint and to stop."""

    tps: float
    core: float
    paint_s: float
    stop_s: float


class Screen:
    """The program in a pseudo-terminal of 120 by 40."""

    def __init__(self, words: list[str]) -> None:
        self.main, other = pty.openpty()
        fcntl.ioctl(self.main, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "XDG_DATA_HOME": tempfile.mkdtemp()}
        self.started = time.perf_counter()
        self.process = subprocess.Popen(words, stdin=other, stdout=other, stderr=other, env=environment)
        os.close(other)
        self._raw = bytearray()

    def until(self, pattern: str, patience: float = 60.0) -> re.Match[str]:
        """The first match of the pattern in what is written from now on."""
        end = time.perf_counter() + patience
        while (found := re.search(pattern, self._text())) is None:
            if time.perf_counter() > end:
                raise SystemExit(f"{pattern!r} never came")
            if select.select([self.main], [], [], 0.05)[0]:
                self._raw += os.read(self.main, 65536)
        self._raw.clear()
        return found

    def _text(self) -> str:
        return _ESCAPES.sub(b"", bytes(self._raw)).decode("utf-8", "replace")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.main, keys.encode())

    def close(self) -> None:
        """Ctrl+Q, and see it out."""
        self.type("\x11")
        end = time.perf_counter() + 10
        with suppress(OSError):  # Linux: the other side is closed
            while self.process.poll() is None and time.perf_counter() < end:
                if select.select([self.main], [], [], 0.05)[0]:
                    os.read(self.main, 65536)
        self.process.kill()
        self.process.wait()
        os.close(self.main)


def command(model: str, threads: int, tokens: int) -> list[str]:
    flags = ["--threads", str(threads), "--temp", "0", "--max-tokens", str(tokens), "--ctx", "4096"]
    return [sys.executable, "-P", "-m", "localrun", model, *flags]


def on_screen(words: list[str]) -> Seen:
    screen = Screen(words)
    screen.until(r"\S")
    paint = time.perf_counter() - screen.started
    screen.until("Ask something")
    process = psutil.Process(screen.process.pid)
    screen.type(PROMPT + "\r")
    screen.until(r"\d tokens · ")
    before, began = process.cpu_times(), time.perf_counter()
    found = screen.until(r"\d tokens · ([\d.]+) tok/s · first token")
    after, seconds = process.cpu_times(), time.perf_counter() - began
    screen.type(PROMPT + " Again.\r")
    screen.until(r"tok/s · Esc stops")
    asked = time.perf_counter()
    screen.type("\x1b")
    screen.until("stopped by you")
    stop = time.perf_counter() - asked
    screen.close()
    return Seen(float(found[1]), (after.user + after.system - before.user - before.system) / seconds, paint, stop)


def headless(words: list[str]) -> float:
    done = subprocess.run([*words, "-p", PROMPT, "--json", "--no-stdin"], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["timings"]["decode_tps"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=200)
    wanted = parser.parse_args()
    words = command(wanted.model, wanted.threads, wanted.tokens)
    seen: list[Seen] = []
    plain: list[float] = []
    for _ in range(wanted.rounds):
        seen.append(on_screen(words))
        plain.append(headless(words))
        print(f"screen {seen[-1].tps:.1f}, headless {plain[-1]:.1f} tok/s", file=sys.stderr)
    speeds, stops = [one.tps for one in seen], [one.stop_s for one in seen]
    medians, bests = statistics.median(speeds) / statistics.median(plain), max(speeds) / max(plain)
    print(f"ratio of medians {medians:.3f}, of bests {bests:.3f}")
    print(f"screen's share of a core {statistics.median(one.core for one in seen):.3f}")
    print(f"first paint {statistics.median(one.paint_s for one in seen):.2f} s")
    print(f"Escape to stopped {statistics.median(stops):.2f} s, worst {max(stops):.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
