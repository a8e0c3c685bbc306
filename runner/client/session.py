"""A loaded model, seen from the parent: talk to it, sample it, end it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from models.errors import EngineError, LocalrunError, OutOfMemory
from runner.client.pipe import StillBusy
from runner.client.process import EngineProcess
from runner.client.resumed import Resumed
from runner.client.watch import Limits, answering
from runner.hardware.meter import sample
from runner.types.commands import Count, Generate
from runner.types.engine import Loaded
from runner.types.generation import Chunk, Finish, Message, Phase, Request
from runner.types.placement import Placement
from runner.types.plan import Candidate, Plan
from runner.types.sample import Sample
from runner.types.sampling import Sampling, resolved


@dataclass(frozen=True, slots=True)
class Running:
    """What an engine has loaded: a candidate of a plan, by its placement."""

    plan: Plan
    candidate: Candidate
    placement: Placement
    loaded: Loaded


_ROOM_TO_GO_ON = 256  # tokens of context behind what is in use, without which it is not worth to go on
Recover = Callable[[EngineError, int], Running]


def _give_up(error: EngineError, _ctx: int) -> Running:
    raise error


class EngineSession:
    """One model in one engine process. `ended` hears of every request and its last chunk.

    `recover` is asked to load again after an error, with a context of so many tokens at least: something smaller where
    memory ran out in the midst of an answer, which goes on; before the next answer, where the engine has died. The last
    of the notes of what it loaded says so. It may raise.
    """

    def __init__(self, process: EngineProcess, running: Running, recover: Recover = _give_up) -> None:
        self._process = process
        self._running = running
        self._recover = recover
        self._is_stopped = False
        self._last_error = EngineError("The engine ended between two answers.")
        self.ended: Callable[[Request, Chunk], None] = lambda _asked, _chunk: None

    @property
    def plan(self) -> Plan:
        """The plan that was loaded, on the machine as it was then."""
        return self._running.plan

    @property
    def candidate(self) -> Candidate:
        """The candidate that runs, with what was predicted for it."""
        return self._running.candidate

    @property
    def placement(self) -> Placement:
        """What llama.cpp was told."""
        return self._running.placement

    @property
    def loaded(self) -> Loaded:
        """What llama.cpp answered: real context, bytes per device."""
        return self._running.loaded

    def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        continue_last: bool = False,
        raw: str | None = None,
        ignore_end: bool = False,
        reuse: bool = True,
    ) -> Iterator[Chunk]:
        """Answer the conversation (or go on with `raw` text); the last chunk carries `finish`.

        What `sampling` leaves open is as the model's maker recommends. `continue_last` goes on with the last assistant
        message. `reuse` false prefills everything anew.
        """
        history = tuple(messages)
        if history and history[-1].role == "assistant" and not continue_last:
            history = history[:-1]
        self._is_stopped = False
        if self._process.has_died():
            begin = Chunk(Phase.PREFILL)
            yield _cut(begin, None, self._recovered(self._last_error, begin))
        filled = resolved(sampling, self.plan.recommended(self.candidate))
        yield from self._answer(Request(history, raw, filled, ignore_end, reuse))

    def _answer(self, request: Request) -> Iterator[Chunk]:
        """The answer, over as many engines as it takes."""
        answer, asked = Resumed(request), request
        while True:
            try:
                for chunk in self._process.stream(Generate(asked), self._patience()):
                    if chunk.finish is not None:
                        self.ended(asked, chunk)
                    yield answer.joined(chunk)
                return
            except StillBusy:
                yield _cut(answer.last, Finish.INTERRUPTED)
                return
            except OutOfMemory as error:
                note = self._recovered(error, answer.last)
            except EngineError as error:
                self._last_error = error
                raise
            if self._is_stopped:
                yield _cut(answer.last, Finish.INTERRUPTED, note)
                return
            yield _cut(answer.last, None, note)
            asked = answer.rest()

    def _patience(self) -> Limits:
        predicted = self.candidate.predicted
        return answering(self.placement.ubatch / predicted.prefill_tps if predicted else 0.0)

    def _recovered(self, error: EngineError, last: Chunk) -> str:
        """Load again; what to say about it."""
        wanted = max(last.context_used, last.prompt_tokens) + _ROOM_TO_GO_ON
        try:
            running = self._recover(error, min(wanted, self.loaded.ctx))
        except LocalrunError:
            if self._is_stopped:  # that is why
                raise error from None
            raise
        notes = (*self.loaded.notes, *running.loaded.notes)
        self._running = replace(running, loaded=replace(running.loaded, notes=notes))
        return notes[-1]

    def stop(self) -> None:
        """End the running request soon; thread-safe, returns at once."""
        self._is_stopped = True
        self._process.stop()

    def sample(self) -> Sample:
        """Measure the machine now."""
        return sample(self.plan.machine)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the conversation as the model's template renders it."""
        return self._process.ask(Count(tuple(messages)))

    def count_text(self, text: str) -> int:
        """Tokens of a text that goes to the model as it is, its own first token included."""
        return self._process.ask(Count(raw=text))

    def close(self) -> None:
        """End the engine process."""
        self._process.close()


def _cut(last: Chunk, finish: Finish | None, note: str | None = None) -> Chunk:
    """No more words, perhaps a note."""
    phase = Phase.DONE if finish else last.phase
    return replace(last, text="", reasoning="", logprobs=(), phase=phase, finish=finish, happened=note)
