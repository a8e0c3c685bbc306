"""A loaded model: requests become prompts and tokens, and sequences that the scheduler runs."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

from models.errors import EngineError, LocalrunError, PromptTooLong, UsageError
from models.stores.recency import mark_used
from runner.chat import markers
from runner.engine import llama
from runner.engine.beside import close_all, companion_bytes, drafts_of, opened_with_companion
from runner.engine.breakdown import breakdown, on_each
from runner.engine.cache import Cache
from runner.engine.calls import with_demanded
from runner.engine.checkpoints import Checkpoints, are_needed
from runner.engine.prompts import Prompts
from runner.engine.scheduler import Scheduler
from runner.engine.sequence import Asked, Listener, Sequence
from runner.engine.state_file import Checkpoint, longest, read_state, write_state
from runner.types.commands import Count, KeepState, Kept, RestoreState
from runner.types.engine import Loaded
from runner.types.generation import Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling


class Generator:
    """One loaded model. `pulse` is called now and then in a step that takes long."""

    def __init__(
        self, path: str, placement: Placement, progress: Callable[[float], bool], pulse: Callable[[], None]
    ) -> None:
        """Load, or raise: BadFile for a file that llama.cpp refuses, OutOfMemory where memory does not suffice."""
        started = time.perf_counter()
        self._model, self._context, self._beside, notes = opened_with_companion(path, placement, progress)
        self._prompts = Prompts(self._model, self._context.size)
        keeps_states = placement.checkpoints > 0 and are_needed(self._context)
        self._cache = Cache(self._context, Checkpoints(self._context, placement.checkpoints) if keeps_states else None)
        self._scheduler = Scheduler(
            self._context, self._cache, pulse, drafts_of(self._context, placement, self._beside)
        )
        positions = "long" if self._context.is_stretched else "short"
        self._caches_are = f"{llama.version()} {placement.kv_type} {positions}"
        self._markers = self._marker_tokens(markers.ALL)
        self.loaded = Loaded(
            ctx=self._context.size,
            load_s=time.perf_counter() - started,
            memory=on_each(breakdown(self._context.handle), placement),
            template=self._prompts.source,
            notes=notes,
            companion=companion_bytes(self._beside, placement),
        )

    def close(self) -> None:
        """Free everything; who still waits for an answer is told so."""
        self.fail(EngineError("The model was unloaded before its answer ended."))
        close_all(self._model, self._context, self._beside)

    def count(self, asked: Count) -> int:
        """Tokens of the conversation as a prompt, or of the text."""
        return len(self._tokens(asked))

    def _tokens(self, asked: Count) -> list[int]:
        return self._prompts.of(Request(asked.messages, asked.raw, asked.sampling))[0]

    def begin(self, request: Request, listener: Listener, kept: Kept | None = None) -> None:
        """Answer a request in the steps to come. PromptTooLong or UsageError before any work."""
        tokens, prompt = self._prompts.of(request)
        self._check_length(len(tokens))
        if kept is not None and request.reuse:
            self._start_from(kept, tokens)
        size, asked = self._context.size, request.sampling
        limit = min(asked.max_tokens or size, size - len(tokens))
        seed = random.getrandbits(31) if asked.seed is None else asked.seed
        keeps_states = self._cache.keeps_states and request.reuse
        borders = self._prompts.borders(request, prompt, tokens) if keeps_states else ()
        asked_for = Asked(with_demanded(request, prompt), prompt, tokens, limit, seed, borders)
        marks = self._markers if prompt.family is None else self._markers | self._marker_tokens(prompt.family.marks)
        sequence = Sequence(asked_for, self._model, marks, listener)
        self._scheduler.add(sequence)

    def keep_state(self, asked: KeepState) -> int:
        """Write what the caches hold of a conversation; bytes, 0 for nothing, too much, or a disk that refuses."""
        slot = self._cache.holder(self._tokens(Count(asked.messages, sampling=Sampling(templating=asked.templating))))
        if slot is None:
            return 0
        context, sequence = self._context, slot.sequence
        size = context.state_bytes(sequence)
        if asked.most is not None and size > asked.most:
            return 0
        with suppress(OSError):
            return write_state(
                Path(asked.path),
                self._owner(asked.owner),
                slot.tokens,
                size,
                lambda cells: context.copy_state(sequence, cells),
                _fitting(self._cache.remembered(slot), None if asked.most is None else asked.most - size),
            )
        return 0

    def restore_state(self, asked: RestoreState) -> int:
        """Let the caches hold what is in a file; tokens, 0 where it is of no use."""
        state = read_state(Path(asked.path), self._owner(asked.owner))
        return self._cache.adopt(state) if state else 0

    def _start_from(self, kept: Kept, tokens: list[int]) -> None:
        """Let the caches hold what was kept of their beginning, unless others would wait for the disk meanwhile."""
        unread = self._cache.unread(tokens)
        if unread < kept.least or self._scheduler.is_answering:
            return
        held = len(tokens) - unread
        found = longest(Path(kept.folder), self._owner(kept.owner), tokens, held + kept.least)
        if found is not None and self.restore_state(RestoreState(str(found), kept.owner)):
            mark_used(found, found.parent.iterdir())

    def _owner(self, asked: str) -> str:
        """Who may restore a state: bytes of the same types and positions, made by the same llama.cpp.

        A template needs no name here: only tokens that a prompt begins with are gone on from, whatever wrote them.
        """
        return f"{asked} {self._caches_are}"

    @property
    def is_busy(self) -> bool:
        """Whether there is a step to take."""
        return self._scheduler.is_busy

    @property
    def patience_s(self) -> float:
        """How long after the first request others may come that are read together with it."""
        return self._scheduler.patience_s

    def step(self) -> None:
        """A step of all that is asked. What it raises has ended none yet, and none can go on: `fail` must follow."""
        self._scheduler.step()

    def fail(self, error: LocalrunError) -> None:
        """End all with this error."""
        self._scheduler.fail(error)

    def _check_length(self, tokens: int) -> None:
        size = self._context.size
        if tokens >= size:
            raise PromptTooLong(
                f"The prompt has {tokens} tokens; the context holds {size}, and the answer needs room too."
            )
        if not tokens:
            raise UsageError("The prompt is empty.")

    def _marker_tokens(self, marks: Iterable[str]) -> frozenset[int]:
        """Control tokens that fence thinking, or calls: only these are turned into text."""
        model = self._model
        tokens = (token for text in marks for token in model.tokenize(text, special=True))
        return frozenset(token for token in tokens if not model.piece(token))


def _fitting(checkpoints: tuple[Checkpoint, ...], most: int | None) -> tuple[Checkpoint, ...]:
    """The newest of these that have at most so many bytes together."""
    sizes = accumulate(len(one.state) for one in reversed(checkpoints))
    count = sum(most is None or size <= most for size in sizes)
    return checkpoints[len(checkpoints) - count :]
