"""A model that somebody keeps warm, seen from a front end: what `EngineSession` is for an engine of one's own."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from models.headers.recommended import Recommended
from runner.client.socket import Connection, told
from runner.types.codec import unpack
from runner.types.engine import Loaded
from runner.types.generation import Chunk, Message, Request, to_answer
from runner.types.pipe import Command
from runner.types.placement import Placement
from runner.types.sampling import Sampling
from runner.types.warm import Ask, Attached, Question, Remember, Rules, Slow, Tokens

if TYPE_CHECKING:  # an answer needs none of these; whoever looks at them waits for their import
    from runner.types.plan import Candidate, Plan
    from runner.types.sample import Sample
    from runner.types.slowness import Slowness

Reply = TypeVar("Reply")


class AttachedAnswer:
    """The chunks of an answer, for one thread at a time. Closing it, or dropping it, ends the answer.

    `slow`: how the server tells what it found at the end of it.
    """

    def __init__(self, connection: Connection, asked: Ask) -> None:
        self._connection = connection
        self._chunks = self._steps(asked)
        self.slow: Slow | None = None

    def _steps(self, asked: Ask) -> Generator[Chunk]:
        try:
            self.slow = yield from self._connection.stream(asked)
        finally:
            self._connection.close()

    def __iter__(self) -> AttachedAnswer:
        return self

    def __next__(self) -> Chunk:
        return next(self._chunks)

    def stop(self) -> None:
        """End this one soon, with its last chunk (finish `interrupted`); thread-safe, returns at once."""
        self._connection.stop()

    def close(self) -> None:
        """End it at once: nobody listens any more."""
        self._connection.close()
        self._chunks.close()


class AttachedSession:
    """The model stays loaded as long as `held` is open, the connection that it was attached over."""

    def __init__(self, path: Path, held: Connection, attached: Attached, question: Question) -> None:
        assert attached.number is not None and attached.placement is not None and attached.loaded is not None
        self._path, self._held, self._number = path, held, attached.number
        self._facts: dict[str, Any] = attached.facts
        self._wish = question.wish
        self._answers: WeakSet[AttachedAnswer] = WeakSet()
        self._last: AttachedAnswer | None = None
        self._plan: Plan | None = None
        self.quant: str = attached.quant
        self.placement: Placement = attached.placement
        self.loaded: Loaded = attached.loaded

    @property
    def is_kept(self) -> bool:
        """Its engine is somebody else's."""
        return True

    @property
    def plan(self) -> Plan:
        """The plan that was loaded, with the candidate that runs alone, and not why it was chosen."""
        if self._plan is None:
            from runner.types.machine import Machine
            from runner.types.plan import Candidate, ModelInfo, Plan

            facts = self._facts
            candidate = unpack(Candidate, facts["candidate"])
            model, machine = unpack(ModelInfo, facts["model"]), unpack(Machine, facts["machine"])
            self._plan = Plan(model, machine, (candidate,), 0, (), wish=self._wish)
        return self._plan

    @property
    def candidate(self) -> Candidate:
        """The candidate that runs, with what was predicted for it."""
        return self.plan.candidates[0]

    @property
    def recommended(self) -> tuple[Recommended, ...]:
        """How the model's maker wants it sampled."""
        return unpack(tuple[Recommended, ...], self._facts["recommended"])

    @property
    def slowness(self) -> Slowness | None:
        """Why the last answer was slower than predicted; None where it was not, or while it goes on."""
        slow = self._last.slow if self._last else None
        if slow is None:
            return None
        from runner.types import slowness

        cause = unpack(getattr(slowness, slow.kind), slow.cause) if slow.kind else None
        return slowness.Slowness(slow.below, cause)

    def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        continue_last: bool = False,
        raw: str | None = None,
        is_watched: bool = True,
    ) -> AttachedAnswer:
        """Answer the conversation (or go on with `raw` text); the last chunk carries `finish`."""
        history = to_answer(messages, continue_last=continue_last)
        answer = AttachedAnswer(
            Connection(self._path), Ask(self._number, Request(history, raw, sampling, is_watched=is_watched))
        )
        self._answers.add(answer)
        self._last = answer
        return answer

    def stop(self) -> None:
        """End the running answers soon; thread-safe, returns at once."""
        for answer in tuple(self._answers):
            answer.stop()

    def sample(self) -> Sample:
        """Measure the machine now."""
        from runner.hardware.meter import sample

        return sample(self.plan.machine)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the conversation as the model's template renders it."""
        return self._ask(Tokens(self._number, tuple(messages)))

    def count_text(self, text: str) -> int:
        """Tokens of a text that goes to the model as it is, its own first token included."""
        return self._ask(Tokens(self._number, raw=text))

    def grammar_of_schema(self, schema: str) -> str:
        """GBNF of a JSON schema (JSON text). UsageError."""
        return self._ask(Rules(self._number, schema))

    def remember(self, name: str, messages: Sequence[Message]) -> None:
        """Let what the engine has read of a conversation outlive it, where that is worth its bytes."""
        self._ask(Remember(self._number, name, tuple(messages)))

    def recall(self, name: str) -> None:
        """Go on from what was remembered under that name."""
        self._ask(Remember(self._number, name))

    def close(self) -> None:
        """Let go of it: it stays warm for whoever comes next."""
        self.stop()
        self._held.close()

    def _ask(self, command: Command[Reply]) -> Reply:
        return told(self._path, command)


class AttachedService:
    """What front ends ask of a service, as far as a model that is loaded answers it."""

    def __init__(self, session: AttachedSession) -> None:
        self.session = session

    def grammar_of_schema(self, schema: str) -> str:
        """GBNF of a JSON schema (JSON text). UsageError."""
        return self.session.grammar_of_schema(schema)

    def understood(self, gbnf: str) -> str:
        """The same grammar: the model is loaded, and whoever asks it is told."""
        return gbnf

    def remember(self, _session: object, name: str, messages: Sequence[Message]) -> None:
        """Let what the engine has read of a conversation outlive it, where that is worth its bytes."""
        self.session.remember(name, messages)

    def recall(self, _session: object, name: str) -> None:
        """Go on from what was remembered under that name."""
        self.session.recall(name)

    def close(self) -> None:
        """Let go of the model."""
        self.session.close()
