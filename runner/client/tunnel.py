"""`ssh:user@host` as an address: a worker started there, and an SSH tunnel to it. Both end with this process."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from models.errors import EngineError, UsageError
from models.visible import one_line
from runner.client.far import address_of
from runner.client.wire import LOOPBACK, free_port

PREFIX = "ssh:"
_START_S = 30.0  # to log in, to start a worker, to open the way
_END_S = 5.0
_LONGEST = 200
_NOT_FOUND = 127  # what a shell ends with
# Where installers put it, which a shell without a login does not look through. The worker ends with its stdin.
_WORKER = 'PATH="$PATH:$HOME/.local/bin" exec localrun worker --cache --lifeline --listen 127.0.0.1:0'
# Nobody is there to answer a question: Ctrl-C must not reach ssh, so that it has no terminal.
_OPTIONS = ("-o", "BatchMode=yes", "-o", "ServerAliveInterval=3", "-o", "ServerAliveCountMax=2")


class Tunnel:
    """Open from the start. UsageError where there is no such address or no ssh, EngineError where it does not work."""

    def __init__(self, endpoint: str) -> None:
        self._target = endpoint.removeprefix(PREFIX)
        self._endpoint = endpoint
        if not self._target or self._target.startswith("-") or any(letter.isspace() for letter in self._target):
            raise UsageError(f"--rpc wants ssh:user@host, not {endpoint!r}.")
        ssh = shutil.which("ssh")
        if ssh is None:
            raise UsageError(f"{endpoint} needs the program ssh, which is not here.")
        self._ssh = ssh
        self._folder = Path(tempfile.mkdtemp(prefix="localrun-"))  # nobody else may go through the control socket
        self._control = ("-o", f"ControlPath={self._folder / 'control'}")
        self._process = self._run("-o", "ControlMaster=yes", self._target, _WORKER)
        try:
            port = address_of(self._first_line())[1]
            self.at = f"{LOOPBACK}:{self._forwarded(port)}"
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """The worker there ends with its standard input, the tunnel with ssh."""
        with suppress(OSError):
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
                if stream is not None:
                    stream.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, *words: str) -> subprocess.Popen[bytes]:
        # In a session of its own: Ctrl-C belongs to us.
        return subprocess.Popen(
            [self._ssh, *_OPTIONS, *self._control, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def _first_line(self) -> str:
        """Where the worker listens there."""
        said, deadline = b"", time.monotonic() + _START_S
        assert self._process.stdout is not None
        while not said.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise EngineError(f"{self._endpoint} did not come up within {_START_S:.0f} s.")
            if not (more := os.read(self._process.stdout.fileno(), 1)):
                raise EngineError(self._why())
            said += more
        return said.decode("utf-8", "replace").strip()

    def _why(self) -> str:
        code = self._process.wait()
        assert self._process.stderr is not None
        lines = self._process.stderr.read().decode("utf-8", "replace").strip().splitlines()
        if code == _NOT_FOUND:
            return f"localrun is not installed at {self._target}: `uv tool install localrun-llm` there does it."
        because = f": {one_line(lines[-1], _LONGEST)}" if lines else ""
        return f"{self._endpoint} could not be reached (ssh ended with {code}{because})."

    def _forwarded(self, there: int) -> int:
        """A port here that leads to the one there."""
        here = free_port()
        asked = self._run("-O", "forward", "-L", f"{LOOPBACK}:{here}:{LOOPBACK}:{there}", self._target)
        _, said = asked.communicate(timeout=_START_S)
        if asked.returncode:
            because = one_line(said.decode("utf-8", "replace").strip(), _LONGEST)
            raise EngineError(f"The tunnel to {self._target} could not be opened: {because}.")
        return here
