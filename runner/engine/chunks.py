"""The answer to a request as it grows: bytes of tokens become text, and each step is told with counts and speeds."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from runner.chat.stream import RECAST, Said, TextStream
from runner.engine.calls import Calls
from runner.types.drafts import Drafted, DraftKind
from runner.types.generation import Chunk, Finish, Phase, TokenLogprobs


@dataclass(slots=True)
class DraftTally:
    """What guesses have brought an answer; the steps that they saved are less than 0 where they lost time."""

    drafted: int = 0
    accepted: int = 0
    saved: float = 0.0
    of: Counter[DraftKind] = field(default_factory=Counter)
    """How many tokens each has guessed."""

    def add(self, kind: DraftKind, drafted: int, accepted: int, saved: float) -> None:
        """A step had so many guesses, of which so many came true."""
        self.drafted += drafted
        self.accepted += accepted
        self.saved += saved
        self.of[kind] += drafted

    def after(self, tokens: int) -> Drafted | None:
        """All of it, in an answer of so many tokens; None where nothing was guessed."""
        if not self.drafted:
            return None
        return Drafted(
            max(self.of, key=self.of.__getitem__), self.drafted, self.accepted, tokens / max(1.0, tokens - self.saved)
        )


class Chunks:
    """What was decoded since `asked` (seconds of time.perf_counter); `prefilled` is the last step before it.

    `take_logprobs` gives those of the tokens that are new since it was last called. `calls`, where the model may make
    some.
    """

    def __init__(
        self,
        prefilled: Chunk,
        stream: TextStream,
        asked: float,
        take_logprobs: Callable[[], tuple[TokenLogprobs, ...]],
        calls: Calls | None = None,
    ) -> None:
        self._state = replace(prefilled, phase=Phase.DECODE)
        self._stream = stream
        self._asked, self._calls = asked, calls
        self._take_logprobs = take_logprobs
        self.drafts = DraftTally()
        """What was guessed on the way."""
        self._began = time.perf_counter()

    @property
    def is_stopped(self) -> bool:
        """Whether a stop string was met, or no more calls are wanted."""
        return self._stream.stopped or (self._calls is not None and self._calls.is_enough)

    @property
    def so_far(self) -> Chunk:
        """The last step, without its text."""
        return replace(self._state, text="", reasoning="", calls=(), logprobs=())

    def note(self, sentence: str) -> None:
        """Say this from the next step on."""
        if sentence not in self._state.notes:
            self._state = replace(self._state, notes=(*self._state.notes, sentence))

    def step(self, data: bytes, count: int, used: int) -> Chunk:
        """New bytes of the first `count` tokens; `used` KV cells are in use."""
        was_thinking, said = self._stream.is_thinking, self._stream.feed(data)
        thought = self._thought(said, was_thinking, count)
        self._state = self._told(self._calls.read(said) if self._calls else said, count, used, thought)
        return self._state

    def end(self, data: bytes, count: int, used: int, finish: Finish) -> Chunk:
        """The last bytes, and why there are no more."""
        was_thinking, said = self._stream.is_thinking, self._stream.finish(data)
        thought = self._thought(said, was_thinking, count)
        if self._calls:
            said = self._calls.read(said, final=True)
            finish = Finish.CALLS if finish is Finish.STOP and self._calls.begun else finish
        stopped_by = self._stream.stopped_by
        return replace(self._told(said, count, used, thought), phase=Phase.DONE, finish=finish, stopped_by=stopped_by)

    def _thought(self, piece: Said, was_thinking: bool, count: int) -> int:
        """Tokens of thinking so far; those of a piece without letters are what it was before: marks, mostly."""
        new, before = count - self._state.completion_tokens, self._state.reasoning_tokens
        if piece.recast:
            before = self._state.completion_tokens
        letters = len(piece.reasoning) + len(piece.text)
        return before + (round(new * len(piece.reasoning) / letters) if letters else new * was_thinking)

    def _told(self, piece: Said, count: int, used: int, thought: int) -> Chunk:
        now, ttft = time.perf_counter(), self._state.ttft_s
        return replace(
            self._state,
            text=piece.text,
            reasoning=piece.reasoning,
            recast=piece.recast,
            calls=piece.calls,
            happened=RECAST if piece.recast else None,
            completion_tokens=count,
            reasoning_tokens=thought,
            context_used=used,
            ttft_s=now - self._asked if ttft is None else ttft,
            decode_tps=(count - 1) / (now - self._began) if count > 1 else None,
            logprobs=self._take_logprobs(),
            draft=self.drafts.after(count),
        )
