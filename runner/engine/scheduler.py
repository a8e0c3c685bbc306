"""Requests come and go while others run: each step is one batch of next tokens and of pieces of prompts.

A step holds the next token of every answer under way; as much of prompts joins it as `PrefillBudget` allows, those that
came first going first. Where no answer is under way prompts fill a whole ubatch.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Many

from models.errors import BadFile, EngineError, LocalrunError
from runner.chat.template import common_prefix
from runner.engine.batch import Piece
from runner.engine.cache import Cache
from runner.engine.context import Context
from runner.engine.drafts import Drafts, Drawn
from runner.engine.prefill_budget import PrefillBudget
from runner.engine.sequence import Sequence
from runner.types.generation import Phase

_MORE = 64  # cells at a time for an answer that has outgrown what it was promised
_BROKEN = (
    "The model's numbers are broken: behind {} tokens llama.cpp computes infinities or nothing at all. "
    "The file is damaged, or this device cannot compute its types."
)
_WORTH_WAITING = 32  # tokens that another one is reading already


class Scheduler:
    """The sequences of one context. A request starts when a slot and the cells for it are free, the first one first.

    `pulse` is called now and then while a long step runs. Without `drafts` each step brings an answer one token.
    """

    def __init__(self, context: Context, cache: Cache, pulse: Callable[[], None], drafts: Drafts | None = None) -> None:
        self._context, self._cache, self._pulse, self._drafts = context, cache, pulse, drafts
        self._budget = PrefillBudget(context.ubatch)
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._may_start = False
        self._checked = False

    @property
    def is_busy(self) -> bool:
        """Whether there is a step to take."""
        return bool(self._running or self._waiting)

    @property
    def is_answering(self) -> bool:
        """Whether somebody would notice that no step is taken."""
        return bool(self._running)

    @property
    def patience_s(self) -> float:
        """How long the next step may wait for others who ask at the same moment."""
        is_free = not self._running and 0 < len(self._waiting) < self._context.sequences
        return self._budget.patience_s(sum(self._cache.unread(one.tokens) for one in self._waiting)) if is_free else 0.0

    def add(self, sequence: Sequence) -> None:
        """Let it start as soon as it can."""
        self._waiting.append(sequence)
        self._may_start = True

    def step(self) -> None:
        """One batch, and what it brings. OutOfMemory, DeviceLost, EngineError, BadFile: then none can go on."""
        self._drop_cancelled()
        if self._waiting:
            self._admit()
        elif len(self._running) == 1 and self._running[0].phase is Phase.DECODE:
            self._step_alone(self._running[0])
            return
        if batch := self._batch():
            self._run(batch)
            self._sweep()

    def _step_alone(self, sequence: Sequence) -> None:
        """The same for one answer and nothing else, with as little Python as can be.

        After each token that is out of the processor's caches: what takes 20 us again and again takes 100 here.
        """
        slot = sequence.slot
        if len(slot.tokens) >= slot.promised:
            self._has_cell(sequence)  # there is room, for nobody else wants any
        guesses = self._drafts.next(sequence, sequence.behind) if self._drafts else ()
        if self._context.sequences > 1:
            self._cache.make_room(sequence.behind + len(guesses))
        if guesses or sequence.behind > 1:
            self._run([(sequence, sequence.piece_with(guesses))])
        else:
            if self._drafts:
                self._drafts.begin()
            token = sequence.next
            self._context.step(token, len(slot.tokens), slot.sequence)
            if self._drafts and self._drafts.has_heads:
                self._drafts.hear([(sequence, sequence.piece_with(()))])
            self._cache.grow(slot, (token,))
            self._draw(sequence, 0)
            if self._drafts:
                self._drafts.learn(1, (Drawn(sequence, 0, 0),))
        if sequence.phase is Phase.DONE:
            self._sweep()

    def fail(self, error: LocalrunError) -> None:
        """End all with this error, and forget what the cache holds."""
        ended, self._running = [*self._running, *self._waiting], []
        self._waiting.clear()
        for sequence in ended:
            if sequence.phase is Phase.DONE:
                sequence.tell_end()
            else:
                sequence.fail(error)
        self._cache.clear()

    def _drop_cancelled(self) -> None:
        cancelled = [one for one in self._running if one.is_cancelled]
        if self._waiting:
            cancelled += [one for one in self._waiting if one.is_cancelled]
        for sequence in cancelled:
            sequence.interrupt()
        if cancelled:
            self._sweep()

    def _sweep(self) -> None:
        """Say the ends of those that are done, and give back their slots."""
        for sequence in [one for one in self._running if one.phase is Phase.DONE]:
            self._running.remove(sequence)
            self._cache.give_back(sequence.slot)
            self._may_start = True
            sequence.tell_end()
        for sequence in [one for one in self._waiting if one.phase is Phase.DONE]:
            self._waiting.remove(sequence)
            sequence.tell_end()

    def _admit(self) -> None:
        if self._may_start:
            self._may_start = False
            self._start_all()
        for sequence in self._waiting:
            sequence.wait()

    def _start_all(self) -> None:
        """Those that have room, in their order; a prompt that begins like one that is being read waits for that."""
        context = self._context
        for sequence in tuple(self._waiting):
            if self._is_being_read(sequence):
                continue
            cells = sequence.cells(context.size // context.sequences)
            slot = self._cache.take(sequence.tokens, cells, reuse=sequence.may_reuse)
            if slot is None:
                return
            self._waiting.remove(sequence)
            self._running.append(sequence)
            sequence.start(slot)
            self._budget.renew()

    def _is_being_read(self, sequence: Sequence) -> bool:
        if not (self._context.can_share and sequence.may_reuse):
            return False
        for other in self._running:
            ahead = len(other.tokens) - len(other.slot.tokens)
            if ahead > _WORTH_WAITING:
                common = common_prefix(other.tokens, sequence.tokens[:-1])
                if common - len(other.slot.tokens) > _WORTH_WAITING:
                    return True
        return False

    def _batch(self) -> list[tuple[Sequence, Piece]]:
        answering = [one for one in self._running if one.phase is Phase.DECODE]
        answering = [one for one in answering if self._has_cell(one)]
        guesses = self._guesses(answering)
        batch = [(one, one.piece_with(guessed)) for one, guessed in zip(answering, guesses, strict=True)]
        room = (
            min(self._budget.tokens(len(batch)), self._context.ubatch - len(batch)) if batch else self._context.ubatch
        )
        for one in self._running:
            if one.phase is Phase.PREFILL and room > 0:
                batch.append((one, one.piece(room)))
                room -= len(batch[-1][1].tokens)
        self._cache.make_room(sum(len(piece.tokens) for _, piece in batch))
        return batch

    def _guesses(self, answering: list[Sequence]) -> Iterator[Many[int]]:
        """What each of them may say next; nothing while a prompt is read, which has a better use for the room."""
        drafts, count = self._drafts, len(answering)
        batch = sum(one.behind for one in answering)
        for one in answering:
            may = drafts is not None and len(self._running) == count and drafts.may_serve(count)
            guesses = drafts.next(one, batch, count) if drafts is not None and may else ()
            batch += len(guesses)
            yield guesses

    def _has_cell(self, sequence: Sequence) -> bool:
        """Whether there is room for its next token; else it gives back its slot, and waits for more room."""
        slot = sequence.slot
        if len(slot.tokens) < slot.promised:
            return True
        if self._cache.promise(slot, max(1, min(_MORE, self._cache.spare))):
            return True
        self._read_again(sequence)
        return False

    def _read_again(self, sequence: Sequence) -> None:
        """It gives back its slot, and waits for one."""
        self._running.remove(sequence)
        self._cache.give_back(sequence.slot)
        sequence.give_back()
        self._waiting.appendleft(sequence)

    def _run(self, batch: list[tuple[Sequence, Piece]]) -> None:
        answers = sum(sequence.phase is Phase.DECODE for sequence, _ in batch)
        is_reading = any(one.phase is Phase.PREFILL for one in self._running)
        started = time.perf_counter()
        if self._drafts:
            self._drafts.begin()
        if not self._decode([piece for _, piece in batch], may_abort=not answers):
            for sequence, _ in batch:
                self._cache.resync(sequence.slot)
            return
        if self._drafts and self._drafts.has_heads:
            self._drafts.hear(batch)
        end = read = 0
        drawn = []
        for sequence, piece in batch:
            end += len(piece.tokens)
            self._cache.grow(sequence.slot, piece.tokens[: len(piece.tokens) - piece.guesses])
            if sequence.phase is Phase.PREFILL:
                read += len(piece.tokens)
                self._has_read(sequence, piece)
            if piece.ends:
                accepted = self._draw_behind(sequence, piece, end, at_once=is_reading)
                drawn.append(Drawn(sequence, piece.guesses, accepted))
        seconds = time.perf_counter() - started
        if answers + read == end and drawn:  # no guesses; and where nothing is drawn, a device may not be ready yet
            self._budget.learn(seconds, answers, read)
        if self._drafts and not read:
            self._drafts.learn(end, drawn)

    def _draw_behind(self, sequence: Sequence, piece: Piece, end: int, *, at_once: bool) -> int:
        """Draw what comes behind the known tokens and behind each guess that comes true: how many of these did.

        The piece ends before the place `end` of the batch. Cells of guesses that did not are given back.
        """
        accepted = 0
        self._draw(sequence, end - 1 - piece.guesses, at_once=at_once)
        for at in range(end - piece.guesses, end):
            guess = piece.tokens[at - end]
            if sequence.phase is Phase.DONE or sequence.next != guess:
                break
            self._cache.grow(sequence.slot, (guess,))
            self._draw(sequence, at, at_once=at_once)
            accepted += 1
        if self._drafts and accepted < piece.guesses and not self._drafts.rollback.back(sequence.slot):
            self._lose(sequence)
        return accepted

    def _lose(self, sequence: Sequence) -> None:
        """Its slot could not be rolled back and holds nothing any more."""
        self._cache.trim(sequence.slot, 0)
        if sequence.phase is not Phase.DONE:
            self._read_again(sequence)
            self._may_start = True

    def _decode(self, pieces: list[Piece], *, may_abort: bool) -> bool:
        """Prompts alone are given up as soon as one of them is cancelled: the others read a ubatch again."""
        if not may_abort:
            return self._context.decode(pieces)
        self._context.interrupt_with(self._is_unwanted)
        try:
            return self._context.decode(pieces)
        finally:
            self._context.interrupt_with(None)

    def _is_unwanted(self) -> bool:
        self._pulse()
        return any(one.is_cancelled for one in self._running)

    def _has_read(self, sequence: Sequence, piece: Piece) -> None:
        if piece.ends:
            self._context.wait()
        if sequence.is_at_border:
            self._cache.remember(sequence.slot)
        self._may_start = True  # who waits for what it has read
        sequence.has_read()

    def _draw(self, sequence: Sequence, at: int, *, at_once: bool = False) -> None:
        """Its next token, told at once where the next step takes long."""
        if not self._checked and self._context.has_flat_logits(at):
            raise BadFile("The model's file has the right size but no weights in it (every logit is the same).")
        self._checked = True
        try:
            token = sequence.draw(self._context, at)
        except EngineError as error:  # its own grammar's
            sequence.fail(error)
            return
        if not self._context.is_number(token, at):
            self._context.overwrite()
            raise EngineError(_BROKEN.format(len(sequence.slot.tokens)))
        sequence.take(token, at_once)
