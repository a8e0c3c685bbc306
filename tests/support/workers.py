"""Real workers, `localrun worker` as a process each, for tests that borrow."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import psutil

from tests.support.waiting import next_line, until

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class RunningWorker:
    """Where it listens, its process, and the file with what it says on standard error."""

    endpoint: str
    process: psutil.Popen
    said: Path

    @property
    def backend(self) -> psutil.Process:
        """The process that computes for it."""
        return next(iter(self.process.children()))


LOCALRUN = (sys.executable, "-P", "-c", "import sys, localrun; sys.exit(localrun.main())")


def home(folder: Path) -> dict[str, str]:
    """The environment of a user whose folders are in `folder`."""
    places = {f"XDG_{name}_HOME": str(folder / name) for name in ("CONFIG", "DATA", "STATE", "CACHE")}
    return {**os.environ, **places, "PYTHONPATH": str(ROOT)}


@contextmanager
def working(
    folder: Path, *flags: str, prefix: tuple[str, ...] = (), environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[RunningWorker]:
    """A worker with its own home in `folder`, which lends the CPU; it is killed at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    listen = () if "--listen" in flags else ("--listen", "127.0.0.1:0")
    with (folder / "said").open("wb") as said:
        process = psutil.Popen(
            [*prefix, *LOCALRUN, "worker", *listen, "--lifeline", *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env={**home(folder), **environment},
        )
    try:
        endpoint = next_line(process.stdout).decode().strip()
        assert endpoint, (folder / "said").read_text()
        until(lambda: "--rpc " in (folder / "said").read_text(), (folder / "said").read_text)  # all of its greeting
        yield RunningWorker(endpoint, process, folder / "said")
    finally:
        ended = process.children() if process.is_running() else []
        for one in (process, *ended):
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue
        process.wait(10)
        process.stdin.close()
        process.stdout.close()
