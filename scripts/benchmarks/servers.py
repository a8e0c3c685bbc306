"""Servers to compare: started on a free port of the loopback, and waited for."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from runner.client.wire import free_port
from runner.types.placement import Placement


@contextmanager
def llama_server(program: Path, file: Path, placement: Placement) -> Iterator[int]:
    """llama.cpp's own, with the same placement; its port."""
    settings = {
        "-m": file, "-np": placement.sequences, "-c": placement.ctx, "-t": placement.threads,
        "-ngl": placement.gpu_layers,
    }  # fmt: skip
    words = [str(word) for pair in settings.items() for word in pair]
    port = free_port()
    with _running([str(program), "--kv-unified", *words, "--port", str(port)], port):
        yield port


@contextmanager
def our_server(file: Path, placement: Placement) -> Iterator[int]:
    """`localrun serve` with these settings; its port."""
    settings = {
        "--parallel": placement.sequences, "--ctx": placement.ctx, "--threads": placement.threads,
        "--gpu-layers": placement.gpu_layers,
    }  # fmt: skip
    words = [str(word) for pair in settings.items() for word in pair]
    port = free_port()
    command = [sys.executable, "-m", "localrun", "serve", str(file), *words, "--listen", f"127.0.0.1:{port}"]
    with _running(command, port):
        yield port


def processor_s() -> dict[int, float]:
    """Seconds of the processor that each engine and server has taken: all that this process has started."""
    times = {one.pid: one.cpu_times() for one in psutil.Process().children(recursive=True)}
    return {process: one.user + one.system for process, one in times.items()}


def used_s(before: Mapping[int, float]) -> float:
    """What they have taken since then, of those that still live."""
    return sum(seconds - before.get(process, 0.0) for process, seconds in processor_s().items())


@contextmanager
def _running(command: Sequence[str], port: int) -> Iterator[None]:
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", server)
            yield
        finally:
            server.terminate()
            server.wait()


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in itertools.count():
        assert server.poll() is None, "the server has ended"
        with contextlib.suppress(OSError), urllib.request.urlopen(url):
            return
        time.sleep(0.2)
