"""Start an engine process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from runner.client.version import module_path
from runner.types.placement import USUAL_OFFLOAD_BATCH, Placement

_LOG_LIMIT = 4 << 20
DEFAULTS: Mapping[str, str] = {
    "GGML_NO_BACKTRACE": "1",  # ggml would start a debugger on itself
    "GOMP_SPINCOUNT": "1000",  # idle OpenMP threads otherwise fight busy neighbours for the cores
    "OPENBLAS_NUM_THREADS": "1",  # numpy's threads would do nothing here but hold memory
    "PYTHONUNBUFFERED": "1",
}


def spawn(
    log: Path, settings: Mapping[str, str] = MappingProxyType({})
) -> tuple[subprocess.Popen[bytes], BinaryIO, BinaryIO]:
    """(process, where it takes commands, where it tells events); `log` gets its standard output and error.

    `settings` of its environment; what the user has set there stays. It ends when its standard input closes, which
    nobody writes to: by the process's `stdin`, or with this process.
    """
    command_out, command_in = os.pipe()
    event_out, event_in = os.pipe()
    with _open_log(log) as sink:
        # -P: a models.py or runner.py in the user's folder must never be taken for ours, nor one on PYTHONPATH.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "runner.engine", str(command_out), str(event_in)],
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=sink,
            pass_fds=(command_out, event_in),
            start_new_session=True,  # Ctrl-C belongs to the parent, which decides what to stop
            env={**DEFAULTS, **settings, **os.environ, "PYTHONPATH": module_path()},
        )
    os.close(command_out)
    os.close(event_in)
    os.set_blocking(command_in, False)  # one that does not listen shall not hold us
    return process, os.fdopen(command_in, "wb", buffering=0), os.fdopen(event_out, "rb", buffering=0)


def _open_log(path: Path) -> BinaryIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        grown = path.exists() and path.stat().st_size > _LOG_LIMIT
        return path.open("wb" if grown else "ab")
    except OSError:
        return open(os.devnull, "wb")  # noqa: PTH123


def offload_setting(placement: Placement) -> dict[str, str]:
    """The environment by which every backend of llama.cpp learns `offload_batch` (ggml-cuda.cu and others)."""
    if placement.offload_batch == USUAL_OFFLOAD_BATCH:
        return {}
    return {"GGML_OP_OFFLOAD_MIN_BATCH": str(placement.offload_batch)}
