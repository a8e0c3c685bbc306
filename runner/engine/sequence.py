"""A request under way: its prompt is read, its answer drawn token by token, and told as it grows."""

from __future__ import annotations

import time
from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from typing import Protocol

from models.errors import LocalrunError
from runner.chat.guide import Move
from runner.chat.stream import TextStream
from runner.chat.template import Prompt
from runner.engine.batch import Piece
from runner.engine.cache import Slot
from runner.engine.calls import Calls
from runner.engine.chunks import Chunks, DraftTally
from runner.engine.context import Context
from runner.engine.guesser import Guesser
from runner.engine.model import Model
from runner.engine.sampler import Sampler
from runner.engine.steering import Steering
from runner.types.generation import Chunk, Finish, Phase, Request

_SPAN_S = 0.05  # tokens of this span travel together: a screen draws no oftener
_UNWATCHED_S = 0.5  # and these where nobody looks: with eight answers at a time twenty a second of each cost 4 %
_WAITING_S = 1.0  # who waits hears of it so often
_ROOM = 64  # cells for the next words of an answer of unknown length


class Listener(Protocol):
    """Who has asked."""

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody wants the answer any more."""

    def tell(self, chunk: Chunk) -> None:
        """Hear a step; the last one has a finish."""

    def fail(self, error: LocalrunError) -> None:
        """Hear why there is no more to come."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its prompt as text and as tokens, the most tokens of an answer, the seed that these are drawn with.

    `borders`: behind how many tokens of the prompt the state of the cache is to be kept.
    """

    request: Request
    prompt: Prompt
    tokens: Many[int]
    limit: int
    seed: int
    borders: Many[int] = ()


class Sequence:
    """`phase` goes from waiting (no slot) over prefill (tokens of `tokens` are not in the slot) to decode (one is not)
    to done. A sequence that gives its slot back waits and is read again.
    """

    def __init__(self, asked: Asked, model: Model, markers: frozenset[int], listener: Listener) -> None:
        request = asked.request
        self._asked, self._model, self._markers, self._listener = asked, model, markers, listener
        self._sampler = Sampler(model, request.sampling, asked.seed)
        self._sampler.accept(model.tokenize(request.resumed, special=False) if request.resumed else [])
        self.tokens = list(asked.tokens)
        self.phase = Phase.WAITING
        self.guessers: Many[Guesser] = ()
        self._slot: Slot | None = None
        count, notes = len(asked.tokens), asked.prompt.notes
        self._state = Chunk(Phase.PREFILL, prompt_tokens=count, seed=asked.seed, notes=notes)
        self._answer: Chunks | None = None
        self._last: Chunk | None = None
        self._steering: Steering | None = None
        self._count, self._held, self._due = 0, bytearray(), 0.0
        self._span_s = _SPAN_S if request.is_watched else _UNWATCHED_S
        self._came = self._began = self._waits_since = time.perf_counter()

    @property
    def slot(self) -> Slot:
        """Where its tokens are; only while it does not wait."""
        assert self._slot is not None
        return self._slot

    @property
    def steering(self) -> Steering:
        """What it says next where that is not drawn; only once its prompt was read."""
        assert self._steering is not None
        return self._steering

    @property
    def may_reuse(self) -> bool:
        """Whether what a cache holds already need not be read."""
        return self._asked.request.reuse

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody wants the answer any more."""
        return self._listener.is_cancelled

    def cells(self, share: int) -> int:
        """Cells to promise: for its prompt and its longest answer; where nobody has said how long, at least `share`.

        The last token of an answer is never decoded.
        """
        whole = len(self._asked.tokens) + self._asked.limit - 1
        is_known = self._asked.request.sampling.max_tokens is not None
        return whole if is_known else min(whole, max(len(self.tokens) + _ROOM, share))

    def wait(self) -> None:
        """It has to wait: say for how long it has."""
        now = time.perf_counter()
        if now >= self._due:
            self._due = now + _WAITING_S
            so_far = self._answer.so_far if self._answer else self._state
            self._listener.tell(replace(so_far, phase=Phase.WAITING, waited_s=now - self._waits_since))

    def start(self, slot: Slot) -> None:
        """It has a slot, in which the beginning of its tokens is already."""
        self._slot, self.phase = slot, Phase.PREFILL
        self._began, self._due = time.perf_counter(), 0.0
        if self._answer is None:
            waited = self._began - self._came
            kept, shared = len(slot.tokens), slot.matched
            self._state = replace(self._state, cached_tokens=kept, shared_tokens=shared, waited_s=waited)
            self._tell_prefill()

    def give_back(self) -> None:
        """Wait for another slot."""
        self._slot, self.phase = None, Phase.WAITING
        self._waits_since, self._due = time.perf_counter(), 0.0

    def piece(self, most: int) -> Piece:
        """The next tokens to decode; none behind a border are with those before it."""
        at = len(self.slot.tokens)
        end = min((border for border in self._asked.borders if border > at), default=len(self.tokens))
        part = self.tokens[at : min(at + most, end)]
        return Piece(self.slot.sequence, at, part, ends=at + len(part) == len(self.tokens))

    def piece_with(self, guesses: Many[int]) -> Piece:
        """All its tokens that are not in the slot, and what may come behind them; only while it answers."""
        at = len(self.slot.tokens)
        return Piece(self.slot.sequence, at, [*self.tokens[at:], *guesses], guesses=len(guesses))

    @property
    def behind(self) -> int:
        """How many of its tokens are not in the slot."""
        return len(self.tokens) - len(self.slot.tokens)

    @property
    def may_take(self) -> int:
        """How many more tokens may be guessed: as many as it wants, and has cells for."""
        if not self._asked.request.drafts:
            return 0
        return min(self._asked.limit - self._count - 1, self.slot.promised - len(self.tokens))

    @property
    def next(self) -> int:
        """The last token: the one to decode, while it is the only one."""
        return self.tokens[-1]

    @property
    def is_at_border(self) -> bool:
        """Whether the state of its slot is to be kept."""
        return len(self.slot.tokens) in self._asked.borders

    def has_read(self) -> None:
        """A piece of the prompt was decoded, and maybe that was the last one."""
        is_whole = len(self.slot.tokens) == len(self.tokens)
        if self._answer is None:
            self._tell_prefill(is_whole)
        if is_whole:
            self.phase = Phase.DECODE
            self._answer = self._answer or self._chunks()

    def draw(self, context: Context, at: int) -> int:
        """The next token. EngineError where its grammar allows none."""
        steering = self.steering
        return steering.forced() if steering.has_forced else steering.drawn(self._sampler.draw(context, at))

    def take(self, token: int, at_once: bool) -> None:
        """This is the next token: say it, `at_once` or with those of its span, and end or go on."""
        self._count += 1
        if not self._asked.request.ignore_end and self._model.is_end(token):
            self._end(Finish.STOP)
            return
        self._held += self._model.piece(token, token in self._markers)
        now = time.perf_counter()
        if (at_once or now >= self._due or self.steering.is_exact) and (finish := self._told(now)):
            self._end(finish)
        elif self._count == self._asked.limit:
            self._end(Finish.LENGTH)
        else:
            self.tokens.append(token)

    @property
    def drafts(self) -> DraftTally:
        """What guesses have brought; only once its prompt was read."""
        assert self._answer is not None
        return self._answer.drafts

    def note(self, sentence: str) -> None:
        """Say this beside its answer; only once its prompt was read."""
        assert self._answer is not None
        self._answer.note(sentence)

    def interrupt(self) -> None:
        """Nobody wants the rest."""
        self._end(Finish.INTERRUPTED)

    def tell_end(self) -> None:
        """Say the last chunk of what is done, once the step that brought it is counted."""
        if self._last is not None:
            last, self._last = self._last, None
            draft = self._answer.drafts.after(last.completion_tokens) if self._answer else None
            self._listener.tell(replace(last, draft=draft))

    def fail(self, error: LocalrunError) -> None:
        """There is no more to come."""
        self._close()
        self._listener.fail(error)

    def _told(self, now: float) -> Finish | None:
        """Say what is new; how the answer ends where a stop string was in it, or it goes round in circles."""
        assert self._answer is not None
        chunk, turn = self._answer.step(bytes(self._held), self._count, self._used), self.steering.after_words()
        note = None if turn is Move.END else self.steering.take_note()  # it goes with the last chunk, and says why
        self._listener.tell(replace(chunk, happened=note) if note else chunk)
        self._due = now + self._span_s
        self._held.clear()
        return Finish.STOP if self._answer.is_stopped else Finish.LENGTH if turn is Move.END else None

    def _end(self, finish: Finish) -> None:
        if self._answer is None:
            last = replace(self._state, phase=Phase.DONE, finish=finish, context_used=self._used)
        else:
            last = self._answer.end(bytes(self._held), self._count, self._used, finish)
            is_incomplete = finish is Finish.LENGTH and not self._sampler.may_end
            note = self.steering.take_note() or last.happened
            last = replace(last, happened=note, is_incomplete=is_incomplete)
        self._close()
        self._last = last

    def _close(self) -> None:
        self.phase = Phase.DONE
        self._sampler.close()

    @property
    def _used(self) -> int:
        return len(self._slot.tokens) if self._slot else 0

    def _tell_prefill(self, is_whole: bool = False) -> None:
        done = self._used - self._state.cached_tokens
        tps = done / (time.perf_counter() - self._began) if is_whole else None
        self._state = replace(self._state, prefilled=done, prefill_tps=tps, context_used=self._used)
        self._listener.tell(self._state)

    def _chunks(self) -> Chunks:
        asked = self._asked
        fences = asked.request.raw is None and not asked.prompt.is_begun
        family, syntax, calls = asked.prompt.family, asked.prompt.syntax, None
        stop, thinking = asked.request.sampling.stop, asked.prompt.thinking
        if family is None or syntax is None:
            stream = TextStream(stop, thinking, fences)
        else:
            calls = Calls(family, syntax, asked.request, f"{asked.seed} {len(asked.tokens)}")
            stream = TextStream(stop, thinking, fences, addresses=family.addresses, breaks=family.breaks)
        self._steering = Steering(self._model, self._sampler, stream, asked.request, calls)
        return Chunks(self._state, stream, self._came, self._sampler.take_logprobs, calls)
