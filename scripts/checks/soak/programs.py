"""The command and the Python module as others start them: batches that are interrupted, parents that are killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import psutil

import localrun
from scripts.checks.soak.found import Found, orphans

_PROMPTS = 5
_PATIENCE_S, _SOON_S = 120.0, 5.0
_SHORT = ("--threads", "1", "--ctx", "512", "--max-tokens", "8")


class Programs:
    """Each starts anew in the home of this process; nothing of it may be left when it has ended."""

    def __init__(self, model: str, rng: Random, found: Found, folder: Path) -> None:
        self._model, self._rng, self._found, self._folder = model, rng, found, folder
        self._batches = 0

    def batch(self) -> None:
        """A batch that is ended in one way or another until all its prompts are answered."""
        self._batches += 1
        prompts, out = (self._folder / f"{self._batches}.{name}" for name in ("prompts", "answers"))
        prompts.write_text("".join(f"Tell me number {number}.\n" for number in range(_PROMPTS)))
        words = (self._model, "--batch", str(prompts), "--out", str(out), *_SHORT)
        self._interrupted(self._started(*words))
        if self._started(*words).wait(_PATIENCE_S):
            self._found.fault("wrong ends", f"The batch {prompts} failed when it was gone on with.")
        answered = [json.loads(line) for line in out.read_text().splitlines()]
        good = sorted(one["line"] for one in answered if one["error"] is None)
        if good != list(range(1, _PROMPTS + 1)):
            self._found.fault("lost messages", f"{out} answers the lines {good}.")

    def kill_parent(self) -> None:
        """A command that is killed at any moment takes its engine with it."""
        process = self._started(self._model, "-p", "Write a long story.", *_SHORT[:-1], "400")
        self._wait(process, self._rng.uniform(0, 4))
        process.kill()
        process.wait(_PATIENCE_S)
        self.look_for_orphans()

    def use_python(self) -> None:
        """A model of the Python module: answers, is closed or dropped."""
        model = localrun.open(self._model, threads=1, ctx=512)
        if not model.ask("Hi", temp=0, max_tokens=4):
            self._found.fault("lost messages", "The Python module got no answer.")
        if self._rng.random() < 0.5:
            model.close()
        del model
        self.look_for_orphans()

    def look_for_orphans(self) -> None:
        """What is still there seconds after its parent ended."""
        until = time.monotonic() + _SOON_S
        while found := orphans(str(self._folder)):
            if time.monotonic() > until:
                self._found.fault("orphans", " and ".join(map(str, found)))
                return
            psutil.wait_procs(found, timeout=0.2)

    def _started(self, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "localrun", *words]
        nowhere = subprocess.DEVNULL
        return subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere)

    def _interrupted(self, process: subprocess.Popen[bytes]) -> None:
        """End it, or its engine, while it works; it may be through by then."""
        self._wait(process, self._rng.uniform(0.5, 4))
        family = psutil.Process(process.pid).children() if process.poll() is None else []
        match self._rng.randrange(3):
            case 0:
                process.kill()
            case 1:
                process.send_signal(signal.SIGTERM)
            case _:
                for engine in family:
                    engine.kill()
        process.wait(_PATIENCE_S)

    def _wait(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return
