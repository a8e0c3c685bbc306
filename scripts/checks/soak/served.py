"""`localrun serve` as a process of its own, and requests to it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import psutil

from scripts.checks.soak.found import Process, process_held

_CHAT = "/v1/chat/completions"
_LISTENS = re.compile(r"Listening on http://127\.0\.0\.1:(\d+)")
_PATIENCE_S, _TICK_S = 120.0, 0.02


@dataclass(slots=True)
class Said:
    """What came back: `status` of HTTP, `text` of the answer; `ending` is the reason of its end, "error", or None where
    the connection ended first. `error` is the sentence.
    """

    status: int
    text: str = ""
    ending: str | None = None
    error: str = ""
    tokens: int = 0
    pieces: list[str] = field(default_factory=list)


class Served:
    """A server that takes four requests at once, until it is ended."""

    def __init__(self, model: str, folder: Path) -> None:
        self._log = folder / "serve.log"
        flags = ("--listen", "127.0.0.1:0", "--parallel", "4", "--threads", "1", "--ctx", "2048")
        command = [sys.executable, "-P", "-m", "localrun", "serve", model, *flags]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._listens, _PATIENCE_S)
        self._port = int(_LISTENS.findall(self._log.read_text())[0])

    def _listens(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        return _LISTENS.search(self._log.read_text()) is not None

    @property
    def engines(self) -> list[psutil.Process]:
        """Those that it has started; who stands ready beside it is none."""
        return [one for one in psutil.Process(self._process.pid).children() if "runner.engine" in one.cmdline()]

    def end(self, how: signal.Signals) -> bool:
        """Whether a signal ends it in time; if not, it is killed."""
        self._process.send_signal(how)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_PATIENCE_S)
            return False
        return True

    def settles(self, seconds: float) -> bool:
        """Whether it comes to rest in time: no answer, and no connection."""
        return wait_until(lambda: not self._works(), seconds) and wait_until(lambda: not self._connected(), seconds)

    def held(self) -> tuple[Process, Process]:
        """What it and its engine hold."""
        return process_held(self._process.pid), process_held(self.engines[0].pid)

    def ask(self, asked: dict[str, Any]) -> Said:
        """A whole answer."""
        status, body = self._sent(_CHAT, json.dumps(asked).encode())
        found = json.loads(body)
        if "error" in found:
            return Said(status, ending="error", error=found["error"]["message"])
        (choice,) = found["choices"]
        return Said(
            status, choice["message"]["content"], choice["finish_reason"], "", found["usage"]["completion_tokens"]
        )

    def stream(self, asked: dict[str, Any], watch: Callable[[Said], bool] = lambda _said: True) -> Said:
        """An answer as it grows. `watch` hears of every piece; where it says no, the client goes away."""
        said = Said(0)
        with closing(self._connection()) as connection:
            connection.request("POST", _CHAT, json.dumps({**asked, "stream": True}).encode())
            response = connection.getresponse()
            said.status = response.status
            for event in _events(response):
                _add(said, event)
                if not watch(said):
                    break
        return said

    def refuse(self, body: bytes, path: str = _CHAT) -> tuple[int, str]:
        """Status and sentence of an answer to something that is none."""
        status, said = self._sent(path, body)
        return status, str(json.loads(said).get("error", {}).get("message", ""))

    def _sent(self, path: str, body: bytes) -> tuple[int, bytes]:
        with closing(self._connection()) as connection:
            connection.request("POST", path, body)
            found = connection.getresponse()
            return found.status, found.read()

    def _connection(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE_S)

    def _works(self) -> bool:
        with closing(self._connection()) as connection:
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
        busy = [line for line in lines if line.startswith(("localrun_answers_running{", "localrun_answers_waiting{"))]
        return any(not line.endswith(" 0") for line in busy)

    def _connected(self) -> bool:
        tcp = psutil.Process(self._process.pid).net_connections("tcp")
        return any(one.status != psutil.CONN_LISTEN for one in tcp)


def wait_until(is_so: Callable[[], bool], seconds: float) -> bool:
    """Whether it came to be so in time."""
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(_TICK_S)
    return True


def _events(response: Iterator[bytes]) -> Iterator[Any]:
    """What follows `data:`; a connection that breaks off ends them."""
    try:
        for line in response:
            if line.startswith(b"data: {"):
                yield json.loads(line[6:])
            elif line.startswith(b"{"):  # refused before anything was said
                yield json.loads(line)
    except (HTTPException, OSError):
        return


def _add(said: Said, event: Any) -> None:
    if "error" in event:
        said.ending, said.error = "error", event["error"]["message"]
        return
    (choice,) = event["choices"]
    said.pieces.append(choice["delta"].get("content", ""))
    said.text += said.pieces[-1]
    said.ending = choice["finish_reason"] or said.ending
