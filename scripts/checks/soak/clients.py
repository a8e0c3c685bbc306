"""Programs that ask a server: several at once, some that go away, some that ask for nonsense; its engine is killed."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

from runner.hardware import host
from scripts.checks.soak.found import Found, Process
from scripts.checks.soak.served import Said, Served

_STORY = {"messages": [{"role": "user", "content": "Tell a very long story."}]}
_LETTERS = {**_STORY, "grammar": "root ::= [a-z ] root", "max_tokens": 900}  # the model cannot end it
_SOON_S = 5.0
_NONSENSE: tuple[tuple[int, bytes], ...] = (
    (400, b"{"),
    (400, b"\xff\xfe"),
    (400, b"[]"),
    (400, json.dumps({**_STORY, "messages": []}).encode()),
    (400, json.dumps({**_STORY, "temperature": "warm"}).encode()),
    (400, json.dumps({**_STORY, "grammar": "root ::= nowhere"}).encode()),
    (400, json.dumps({**_STORY, "unheard_of": 1}).encode()),
    (400, json.dumps({"messages": [{"role": "user", "content": "word " * 5000}]}).encode()),
    (404, json.dumps({**_STORY, "model": "../../etc/passwd"}).encode()),
)


class Clients:
    """They ask one server after another; an answer is whole, or there is a sentence."""

    def __init__(self, model: str, rng: Random, found: Found, folder: Path) -> None:
        self._rng, self._found = rng, found
        self._served: Callable[[], Served] = lambda: Served(model, folder)
        self._start()

    def close(self) -> None:
        """End the server."""
        self._end(signal.SIGTERM)

    def crowd(self) -> None:
        """More than are taken at once: each gets its own words, whole or in pieces."""
        with ThreadPoolExecutor() as pool:
            for answer in [pool.submit(self._ask_for_own, self._rng.getrandbits(40)) for _ in range(6)]:
                answer.result()

    def leave(self) -> None:
        """Clients that go away in the midst of an answer: nobody works for them any more."""
        left = self._rng.randint(1, 6)
        with ThreadPoolExecutor() as pool:
            for _ in range(2):
                pool.submit(self._server.stream, _LETTERS, lambda said: len(said.pieces) < left)
        self._expect_rest("Answers go on although their clients went away.")

    def nonsense(self) -> None:
        """What cannot be answered is refused with a sentence."""
        for status, body in self._rng.sample(_NONSENSE, 3):
            told, sentence = self._server.refuse(body)
            if told != status or not sentence:
                self._found.fault("wrong ends", f"{body[:80]!r} was answered with {told} {sentence!r}.")

    def kill_server_engine(self) -> None:
        """Answers whose engine is killed end with a sentence; the next request gets another engine."""
        oom_kills = host.oom_kills()
        (engine,) = self._server.engines
        answers = self._while_they_write(engine.kill)
        if host.oom_kills() == oom_kills and any(answer.ending != "error" for answer in answers):
            self._found.fault("wrong ends", f"Answers without an engine ended with {[one.ending for one in answers]}.")
        self.crowd()

    def end_server(self) -> None:
        """In the midst of answers, by a signal that it hears or by one that it does not."""
        how = self._rng.choice((signal.SIGTERM, signal.SIGINT, signal.SIGKILL))
        answers = self._while_they_write(lambda: self._end(how))
        if any(answer.ending in ("stop", "length") for answer in answers):
            self._found.fault("wrong ends", f"After {how.name} an answer passes for a whole one: {answers}.")
        self._start()

    def check(self) -> dict[str, Process]:
        """What the server and its engine hold when it is at rest."""
        self._expect_rest("The server does not come to rest.")
        server, engine = self._server.held()
        return {"server": server, "server's engine": engine}

    def _start(self) -> None:
        """A fresh server. A fresh engine takes a tenth more memory at its first crowd, which is no leak."""
        self._server = self._served()
        self.crowd()

    def _end(self, how: signal.Signals) -> None:
        if not self._server.end(how):
            self._found.fault("hangs", f"The server did not end after {how.name}.")

    def _expect_rest(self, otherwise: str) -> None:
        if not self._server.settles(_SOON_S):
            self._found.fault("hangs", otherwise)

    def _ask_for_own(self, number: int) -> None:
        """An answer that can only be this one."""
        words = f"{number} goes its own way, and {number} comes back"
        asked: dict[str, Any] = {**_STORY, "grammar": f'root ::= "{words}"', "seed": number % 2**31}
        said = (self._server.stream if number % 2 else self._server.ask)(asked)
        if (said.status, said.text, said.ending) != (200, words, "stop"):
            self._found.fault("lost messages", f"Instead of {words!r} the server said {said}.")

    def _while_they_write(self, act: Callable[[], object]) -> list[Said]:
        """Two answers in the midst of which something happens."""
        begun = [Event(), Event()]

        def ask(mine: Event) -> Said:
            try:
                return self._server.stream(_LETTERS, lambda said: _note(mine))
            finally:
                mine.set()  # whatever came of it, nobody waits for it

        with ThreadPoolExecutor() as pool:
            answers = [pool.submit(ask, one) for one in begun]
            for one in begun:
                one.wait()
            act()
            return [answer.result() for answer in answers]


def _note(begun: Event) -> bool:
    begun.set()
    return True
