"""A conversation that goes on through everything: asked, stopped, edited, closed, its engine killed or stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from models.errors import EngineKilled, PromptTooLong
from runner.client.session import EngineSession
from runner.hardware import host
from runner.service.service import LocalService
from runner.storage.conversations import ConversationStore
from runner.types.generation import Chunk, Finish, Phase
from runner.types.sampling import Sampling
from runner.types.wish import Wish
from scripts.checks.soak.found import Found

_QUESTIONS = (
    "Tell me about the sea.",
    "Name three colours.",
    "Why is the sky blue? 🌊",
    "Count to ten.",
    "Hi\u2028there",
)
_SLOW_STOP_S = 5.0
_WISH = Wish(ctx=1024, threads=1)

Act = Callable[[], None]


class Chats:
    """One session and one conversation at a time; `said` is what must be on the disk."""

    def __init__(self, model: str, rng: Random, found: Found) -> None:
        self._rng, self._found = rng, found
        self._service = LocalService()
        self._plan = self._service.plan(model, _WISH)
        self._store = ConversationStore(Path(self._service.conversations))
        self._session = self._loaded()
        self.begin()

    @property
    def engine(self) -> int:
        """The process id of the one that answers."""
        return self._service.engine.pid

    def close(self) -> None:
        """End the engine."""
        self._log.close()
        self._service.close()

    def begin(self) -> None:
        """A conversation of its own."""
        self._log = self._store.new("soak", self._rng.choice(("", "Answer in one sentence.")))
        self._service.recall(self._session, str(self._log.path))
        self._said: list[tuple[str, str]] = []

    def ask(self) -> None:
        """A question and its whole answer."""
        self._turn(self._rng.randint(2, 40))

    def stop(self) -> None:
        """A question whose answer is stopped."""
        self._turn(900, self._session.stop, Finish.INTERRUPTED)

    def freeze(self) -> None:
        """The engine stands still, and a person wants it to stop."""
        pid = self.engine

        def stand_still() -> None:
            os.kill(pid, signal.SIGSTOP)
            self._session.stop()

        self._turn(900, stand_still, Finish.INTERRUPTED)
        os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        """The engine is killed in the midst of an answer; the next question gets another.

        Where the kernel kills something for want of memory at that moment, the kill passes for its own.
        """
        oom_kills = host.oom_kills()
        try:
            self._turn(120, lambda: os.kill(self.engine, signal.SIGKILL))
        except EngineKilled:
            self._end("cut")
        else:
            if host.oom_kills() == oom_kills:
                self._found.fault("wrong ends", "An answer went on although its engine was killed.")
        self.ask()

    def edit(self) -> None:
        """An earlier question in other words: what came behind it is gone."""
        kept = 2 * self._rng.randint(0, len(self._said) // 2)
        if self._said:
            self._log.keep(kept)
            del self._said[kept:]
        self.ask()

    def reopen(self) -> None:
        """Another day: what was read is on the disk."""
        if not self._said:
            self.ask()
        name = str(self._log.path)
        self._service.remember(self._session, name, self._log.conversation.messages)
        self._log.close()
        self._log = self._store.go_on(self._log.path)
        self._service.recall(self._session, name)
        self.ask()

    def reload(self) -> None:
        """The engine is closed, and the model loaded again."""
        self._session.close()
        self._session = self._loaded()
        self._service.recall(self._session, str(self._log.path))
        self.ask()

    def check(self) -> None:
        """Hold the file against what was said."""
        if self._said:
            turns = self._store.open(self._log.path).conversation.turns
            if [(turn.role, turn.text) for turn in turns] != self._said:
                self._found.fault("lost messages", f"{self._log.path} is not what was said.")

    def _loaded(self) -> EngineSession:
        *_, session = self._service.load(self._plan, self._service.chosen(self._plan))
        assert isinstance(session, EngineSession)
        return session

    def _turn(self, tokens: int, then: Act | None = None, expected: Finish | None = None) -> None:
        """Ask something; after a few pieces of the answer do `then`."""
        if len(self._said) >= 8:
            self.begin()
        question = self._rng.choice(_QUESTIONS)
        self._say("user", question)
        messages = self._log.conversation.messages
        self._say("assistant", "")
        sampling = Sampling(max_tokens=tokens, seed=self._rng.getrandbits(31))
        try:
            last, waited = self._hear(self._session.generate(messages, sampling, ignore_end=then is not None), then)
        except PromptTooLong:
            self._end("too long")
            self.begin()
            return
        self._end(str(last.finish))
        if expected is not None:
            self._found.longest_stop_s = max(self._found.longest_stop_s, waited)
            if waited > _SLOW_STOP_S:
                self._found.fault("hangs", f"A stop took {waited:.1f} s.")
            if last.finish not in (expected, Finish.LENGTH):
                self._found.fault("wrong ends", f"A stopped answer ended with {last.finish}.")

    def _hear(self, answer: Iterator[Chunk], then: Act | None) -> tuple[Chunk, float]:
        """The last chunk, and the seconds that it took after `then`."""
        left, asked = self._rng.randint(1, 8), time.monotonic()
        for chunk in answer:
            if chunk.text:
                self._log.grow(chunk.text)
                role, text = self._said[-1]
                self._said[-1] = (role, text + chunk.text)
            left -= 1 if chunk.phase is Phase.DECODE else 0  # with or without words
            if left == 0 and then is not None:
                left, asked = -1, time.monotonic()
                then()
        return chunk, time.monotonic() - asked

    def _say(self, role: str, text: str) -> None:
        self._log.say(role, text)
        self._said.append((role, text))

    def _end(self, note: str) -> None:
        self._log.end(note)
