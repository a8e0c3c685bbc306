"""A server on a port of the loopback, in a thread of this process, and plain HTTP to it."""

import asyncio
import http.client
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from runner.api.app import application
from runner.api.desk import Desk
from runner.api.guard import Rules
from runner.api.limits import Limits
from runner.api.listening import bound, server
from runner.api.pool import Pool
from runner.types.address import Address
from runner.types.sampling import Sampling
from tests.support.waiting import until

PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Said:
    """A response; `json` is empty where its body is none."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body as JSON."""
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """What becomes of `data:` lines; [DONE] as it is."""
        found = [line[6:] for line in self.body.decode().splitlines() if line.startswith("data: ")]
        return [one if one == "[DONE]" else json.loads(one) for one in found]

    @property
    def lines(self) -> list[Any]:
        """Each line as JSON."""
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def comments(self) -> list[str]:
        """What clients pass over."""
        return [line[2:] for line in self.body.decode().splitlines() if line.startswith(": ")]


@dataclass(frozen=True, slots=True)
class Served:
    """Where a server listens, and what is behind it."""

    port: int
    desk: Desk
    pool: Pool
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """For clients of OpenAI's dialect."""
        return f"http://127.0.0.1:{self.port}/v1"

    def connected(self) -> http.client.HTTPConnection:
        """A connection that gives up in the end."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)

    def get(self, path: str, **headers: str) -> Said:
        """Ask for a path."""
        return self.send("GET", path, None, headers)

    def post(self, path: str, asked: object, **headers: str) -> Said:
        """Ask with JSON."""
        return self.send("POST", path, json.dumps(asked).encode(), headers)

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Said:
        """Ask with bytes; underscores in names of headers are hyphens."""
        with closing(self.connected()) as connection:
            named = {name.replace("_", "-"): value for name, value in {**self.headers, **headers}.items()}
            connection.request(method, path, body, named)
            found = connection.getresponse()
            return Said(found.status, {key.lower(): value for key, value in found.getheaders()}, found.read())

    @property
    def under_way(self) -> int:
        """Answers that the engine works on, as far as the server knows."""
        return self._count("localrun_answers_running{")

    @property
    def left(self) -> int:
        """Answers that ended because nobody was there to hear them."""
        return self._count('finish="left"')

    @property
    def requests(self) -> int:
        """Requests that hold a model."""
        return sum(one.requests for one in self.pool.residents())

    def _count(self, mark: str) -> int:
        lines = self.get("/metrics").body.decode().splitlines()
        return int(sum(float(line.rpartition(" ")[2]) for line in lines if mark in line and line[0] != "#"))

    def wait_for(self, is_so: Callable[[], bool], what: str) -> None:
        """It comes to be so."""
        until(is_so, lambda: f"{what}: {self.requests} requests, {self.under_way} answers, {self.left} left")

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """In the block one answer that would be long is begun and left: it ends, for want of a listener."""
        before = self.left
        yield
        self.wait_for(
            lambda: self.requests == 0 and self.left == before + 1, "it goes on for nobody, or ended by itself"
        )


async def cancelled(served: Served, work: Coroutine[Any, Any, object]) -> None:
    """A task that waits for a long answer is cancelled once that is under way: it ends, for want of a listener."""
    before = served.left
    task = asyncio.ensure_future(work)
    await asyncio.to_thread(served.wait_for, lambda: served.under_way == 1, "it has not begun")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(
        served.wait_for, lambda: served.requests == 0 and served.left == before + 1, "it goes on for nobody"
    )


@contextmanager
def serving(pool: Pool, limits: Limits | None = None, rules: Rules | None = None) -> Iterator[Served]:
    """While it listens; in the end all engines end."""
    limits = limits or Limits()
    desk = Desk(pool, Sampling(), limits)
    door = bound(Address("127.0.0.1", 0))
    running = server(application(desk, rules or Rules()), limits)
    thread = threading.Thread(target=running.run, args=([door],), daemon=True)
    with closing(pool):
        port = door.getsockname()[1]
        thread.start()
        try:
            yield Served(port, desk, pool)
        finally:
            running.should_exit = True
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "the server does not end"
