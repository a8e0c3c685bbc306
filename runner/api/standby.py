"""A process that stands ready beside a server, to do commands without the time that its imports take."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.client.runtime import standby_of
from runner.client.version import environment

_END_S = 5.0


@contextmanager
def standing_by(server: Path) -> Iterator[None]:
    """While the server behind this socket lasts. It is a convenience: where it cannot be, nothing is missing."""
    process: subprocess.Popen[bytes] | None = None
    with suppress(OSError):
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "runner.cli.standby", str(standby_of(server))],
            stdin=subprocess.PIPE,  # it ends with that
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for those who type it
            cwd="/",
            env=environment(),
        )
    try:
        yield
    finally:
        if process is not None:
            _end(process)
            standby_of(server).unlink(missing_ok=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.communicate(timeout=_END_S)
    except subprocess.TimeoutExpired:  # it has hardly begun, on a busy machine
        process.kill()
        process.communicate()
