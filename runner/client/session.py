"""A loaded model, seen from the parent: talk to it, from several threads if need be, sample it, end it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models.errors import EngineError, EngineHung, LocalrunError, OutOfMemory
from models.headers.recommended import Recommended
from runner.client.answer import Answer, UnderWay
from runner.client.mailbox import StillBusy
from runner.client.process import EngineProcess
from runner.client.resumed import Resumed
from runner.client.slow_watch import SlowWatch
from runner.client.watch import Limits, answering, steady
from runner.hardware.causes import work_of
from runner.hardware.meter import sample
from runner.hardware.strain import strain
from runner.types.commands import Count, Generate, KeepState, Kept, RestoreState
from runner.types.engine import Loaded
from runner.types.generation import Chunk, Finish, Gap, Marked, Message, Phase, Request, to_answer
from runner.types.placement import Placement
from runner.types.plan import Candidate, Plan
from runner.types.sample import Sample
from runner.types.sampling import Sampling, resolved, with_modelfile
from runner.types.slowness import Slowness
from runner.types.templating import Templating


@dataclass(frozen=True, slots=True)
class Running:
    """What an engine has loaded: a candidate of a plan, by its placement."""

    plan: Plan
    candidate: Candidate
    placement: Placement
    loaded: Loaded

    @property
    def patience(self) -> Limits:
        """How long to wait for a step of it; a step is a ubatch of a prompt."""
        return answering(self._step_s)

    @property
    def patience_in_answers(self) -> Limits:
        """The same where every step is told."""
        is_heard = all(device.lent is None or device.lent.is_heard for device in self.plan.machine.devices)
        return self.patience if is_heard else steady(self.patience, self._step_s)

    @property
    def _step_s(self) -> float:
        predicted = self.candidate.predicted
        return self.placement.ubatch / predicted.prefill_tps if predicted else 0.0


_ROOM_TO_GO_ON = 256  # tokens of context behind what is in use, without which it is not worth to go on
Recover = Callable[[EngineError, int], Running]


def _give_up(error: EngineError, _ctx: int) -> Running:
    raise error


class EngineSession:
    """One model in one engine process. Answers may go on side by side, each in a thread of its own: an engine works on
    as many at a time as its placement has sequences, and the others wait. `ended` hears of every request and its last
    chunk, without speeds where others went on beside it; `reloaded` of every engine that takes the place of another.
    `kept` says what answers may start from that is on the disk.

    `recover` is asked to load again after an error, with a context of so many tokens at least: something smaller where
    memory ran out in the midst of an answer, which goes on; before the next answer, where the engine has died. The last
    of the notes of what it loaded says so. It may raise.
    """

    def __init__(self, process: EngineProcess, running: Running, recover: Recover = _give_up) -> None:
        self._process = process
        self._running = running
        self._recover = recover
        self._changing = threading.Lock()  # what runs
        self._under_way: set[UnderWay] = set()
        self._is_empty = False  # a fresh engine could not load what the one before had
        self._templating = with_modelfile(Sampling(), running.plan.modelfile).templating
        self._last_error = EngineError("The engine ended between two answers.")
        self._watch = self._new_watch()
        self.ended: Callable[[Request, Chunk], None] = lambda _asked, _chunk: None
        self.reloaded: Callable[[], None] = lambda: None
        self.kept: Callable[[], Kept | None] = lambda: None

    @property
    def is_kept(self) -> bool:
        """Its engine ends with it."""
        return False

    @property
    def running(self) -> Running:
        """What is loaded."""
        return self._running

    @property
    def plan(self) -> Plan:
        """The plan that was loaded, on the machine as it was then."""
        return self._running.plan

    @property
    def candidate(self) -> Candidate:
        """The candidate that runs, with what was predicted for it."""
        return self._running.candidate

    @property
    def quant(self) -> str:
        """The quantization that runs."""
        return self.candidate.quant

    @property
    def recommended(self) -> tuple[Recommended, ...]:
        """How the model's maker wants it sampled."""
        return self.plan.recommended(self.candidate)

    @property
    def placement(self) -> Placement:
        """What llama.cpp was told."""
        return self._running.placement

    @property
    def loaded(self) -> Loaded:
        """What llama.cpp answered: real context, bytes per device."""
        return self._running.loaded

    @property
    def slowness(self) -> Slowness | None:
        """Why the answer under way, or the last one, is slower than predicted; None where it is not."""
        return self._watch.found

    def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        continue_last: bool = False,
        raw: str | Marked | Gap | None = None,
        ignore_end: bool = False,
        is_watched: bool = True,
    ) -> Answer:
        """Answer the conversation (or go on with `raw` text, or fill its gap); the last chunk carries `finish`.

        What `sampling` leaves open is as the model's maker recommends. `continue_last` goes on with the last assistant
        message. `is_watched` false: nobody looks while the answer grows.
        """
        history = to_answer(messages, continue_last=continue_last)
        request = Request(history, None, sampling, ignore_end, is_watched=is_watched)
        match raw:
            case Gap(before, after):
                request = replace(request, raw=before, suffix=after)
            case Marked(text):
                request = replace(request, raw=text, is_marked=True)
            case _:
                request = replace(request, raw=raw)
        return self.ask(request)

    def ask(self, request: Request) -> Answer:
        """Answer a request as it is, but for the sampling that it leaves open."""
        mark = UnderWay()
        return Answer(self._steps(request, mark), mark, self._process)

    def _steps(self, request: Request, mark: UnderWay) -> Generator[Chunk]:
        self._under_way.add(mark)
        if len(beside := tuple(self._under_way)) > 1:
            for one in beside:
                one.has_company = True
        try:
            used = self._running
            if self._process.has_died() or self._is_empty:
                begin = Chunk(Phase.PREFILL)
                yield _cut(begin, None, self._recovered(self._last_error, begin, used, mark))
            filled = self._filled(request.sampling)
            self._templating = filled.templating
            asked = replace(request, messages=self._with_system(request.messages), sampling=filled)
            yield from self._over_engines(asked, mark)
        finally:
            self._under_way.discard(mark)

    def _with_system(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """The system prompt of a Modelfile goes before a conversation that has none."""
        system = self.plan.modelfile.system
        if system is None or not messages or any(message.role == "system" for message in messages):
            return messages
        return (Message("system", system), *messages)

    def _over_engines(self, request: Request, mark: UnderWay) -> Iterator[Chunk]:
        """The answer, over as many engines as it takes."""
        answer = Resumed(request)
        self._watch = self._new_watch()
        while True:
            with self._changing:  # while another answer's thread loads again there is nobody to ask
                used = self._running
            try:
                yield from self._in_one(answer, mark)
                return
            except StillBusy:
                yield _cut(answer.last, Finish.INTERRUPTED)
                return
            except OutOfMemory as error:
                if answer.has_called:
                    raise
                note = self._recovered(error, answer.last, used, mark)
            except EngineError as error:
                self._last_error = error
                if not error.came_before or isinstance(error, EngineHung):
                    raise
                note = self._begun_again(error, answer.last, used, mark)
            if mark.is_stopped:
                yield _cut(answer.last, Finish.INTERRUPTED, note)
                return
            yield _cut(answer.last, None, note)

    def _in_one(self, answer: Resumed, mark: UnderWay) -> Iterator[Chunk]:
        """What the engine that runs has to say."""
        asked = answer.rest()
        mark.command = Generate(asked, self.kept())
        for chunk in self._process.stream(mark.command, self._running.patience_in_answers):
            if chunk.finish is not None:
                with self._changing:
                    self.ended(asked, _without_speeds(chunk) if mark.has_company else chunk)
            elif mark.is_stopped:  # maybe before the engine had the command
                self._process.stop(mark.command)
            if not mark.has_company:  # the prediction is of one alone
                self._watch.hear(chunk)
            yield answer.joined(chunk)

    def _new_watch(self) -> SlowWatch:
        predicted = self.candidate.predicted
        at_depth = predicted.at_depth if predicted else 0
        return SlowWatch(
            predicted.decode_tps if predicted else None,
            lambda: strain(self.plan.machine, self._process.pid),
            lambda tokens: work_of(self.placement, self.loaded, tokens, at_depth),
        )

    def _recovered(self, error: EngineError, last: Chunk, used: Running, mark: UnderWay) -> str:
        """Load again, unless another answer's thread has done so; what to say about it."""
        wanted = max(last.context_used, last.prompt_tokens) + _ROOM_TO_GO_ON
        with self._changing:
            if self._running is used:
                self._load_again(error, min(wanted, used.loaded.ctx), mark)
            return self.loaded.notes[-1]

    def _begun_again(self, error: EngineError, last: Chunk, used: Running, mark: UnderWay) -> str:
        """The same where the engine died between two answers and nobody had seen it when it was asked for this one."""
        with self._changing:
            if self._running is used and not self._process.has_died():  # it was closed
                raise error
        return self._recovered(error, last, used, mark)

    def _load_again(self, error: EngineError, ctx: int, mark: UnderWay) -> None:
        self._is_empty = True
        try:
            running = self._recover(error, ctx)
        except LocalrunError:
            if mark.is_stopped:  # that is why
                raise error from None
            raise
        self._is_empty = False
        notes = (*self.loaded.notes, *running.loaded.notes)
        self._running = replace(running, loaded=replace(running.loaded, notes=notes))
        self.reloaded()

    def stop(self) -> None:
        """End the running answers soon; thread-safe, returns at once."""
        for mark in tuple(self._under_way):
            mark.is_stopped = True
        self._process.stop()

    def sample(self) -> Sample:
        """Measure the machine now."""
        return sample(self.plan.machine, self._process.far_pulses)

    def count_tokens(self, messages: Sequence[Message], sampling: Sampling | None = None) -> int:
        """Tokens of the conversation as the model's template renders it, for an answer made with `sampling`.

        None: with the template and the tools of the last answer.
        """
        asked = Sampling(templating=self._templating) if sampling is None else self._filled(sampling)
        return self._process.ask(Count(self._with_system(tuple(messages)), sampling=asked))

    def _filled(self, sampling: Sampling) -> Sampling:
        """With what is recommended, and what a Modelfile says."""
        return with_modelfile(resolved(sampling, self.recommended), self.plan.modelfile)

    def count_text(self, text: str) -> int:
        """Tokens of a text that goes to the model as it is, its own first token included."""
        return self._process.ask(Count(raw=text))

    def keep_state(
        self, path: Path, owner: str, messages: Sequence[Message], most: int, templating: Templating | None = None
    ) -> int:
        """Write what the caches hold of a conversation, for `owner` alone; bytes, 0 for nothing or more than `most`.

        It was rendered with `templating`; None: as the last answer.
        """
        used = self._templating if templating is None else self._filled(Sampling(templating=templating)).templating
        return self._process.ask(KeepState(str(path), owner, self._with_system(tuple(messages)), used, most))

    def restore_state(self, path: Path, owner: str) -> int:
        """Go on from what is in a file; how many tokens need not be read, 0 where it is of no use."""
        return self._process.ask(RestoreState(str(path), owner))

    def close(self) -> None:
        """End the engine process."""
        self._process.close()


def _without_speeds(last: Chunk) -> Chunk:
    """What answers side by side take says nothing about one alone, which is what is predicted."""
    return replace(last, ttft_s=None, prefill_tps=None, decode_tps=None)


def _cut(last: Chunk, finish: Finish | None, note: str | None = None) -> Chunk:
    """No more words, perhaps a note."""
    phase = Phase.DONE if finish else last.phase
    return replace(last, text="", reasoning="", calls=(), logprobs=(), phase=phase, finish=finish, happened=note)
