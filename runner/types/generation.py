"""What the engine tells while it works: the seam between the runner and every front end. Pure data."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from runner.types.drafts import Drafted
from runner.types.sampling import Sampling
from runner.types.tools import CallDelta, ToolCall


class Phase(StrEnum):
    """Which part of a request is going on; it waits where others have all the room."""

    WAITING = "waiting"
    PREFILL = "prefill"
    DECODE = "decode"
    DONE = "done"


class Finish(StrEnum):
    """Why an answer ended; CALLS: the model has stopped, and waits for what its calls bring."""

    STOP = "stop"
    CALLS = "tool_calls"
    LENGTH = "length"
    INTERRUPTED = "interrupted"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `role` is system, user, assistant or tool. `reasoning` is kept apart from the answer.

    `calls` are the assistant's. A tool's message is the result of call `answers`; None: results come in the order of
    the calls.
    """

    role: str
    content: str
    reasoning: str | None = None
    calls: tuple[ToolCall, ...] = ()
    answers: str | None = None


def to_answer(messages: Sequence[Message], *, continue_last: bool) -> tuple[Message, ...]:
    """A conversation without an answer at its end, unless that is to be gone on with."""
    history = tuple(messages)
    return history[:-1] if history and history[-1].role == "assistant" and not continue_last else history


@dataclass(frozen=True, slots=True)
class Gap:
    """A text with a hole in it, which the model is to fill."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Marked:
    """A whole prompt as its author wants it: marks of the vocabulary in it are control tokens."""

    text: str


@dataclass(frozen=True, slots=True)
class Request:
    """What to generate: a conversation, or `raw` text that goes to the model as it is; what lies before a `suffix`.

    `is_marked`: marks in `raw` are control tokens, not text.
    `ignore_end` (benchmarks) goes on past the model's end-of-generation tokens; `reuse` false prefills everything anew.
    `resumed`: what an engine before this one has already answered to it; the conversation or `raw` ends with that.
    `drafts` false (benchmarks) decodes a token at a time. `is_watched` false: nobody looks while the answer grows, and
    more of it may come at a time.
    """

    messages: tuple[Message, ...] = ()
    raw: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    ignore_end: bool = False
    reuse: bool = True
    resumed: str = ""
    suffix: str | None = None
    drafts: bool = True
    is_marked: bool = False
    is_watched: bool = True


@dataclass(frozen=True, slots=True)
class LikelyToken:
    """A token of the vocabulary; `logprob` is the natural logarithm of the probability that the model gives it.

    `bytes` may be half a character; `token` is then its text as far as there is one.
    """

    id: int
    token: str
    bytes: tuple[int, ...]
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """A token of an answer, and which ones were likeliest in its place: before penalty, temperature and grammar."""

    drawn: LikelyToken
    top: tuple[LikelyToken, ...] = ()


SURE_PROMPT = 256  # tokens; a shorter prompt says little about prefill, which is predicted for 512


@dataclass(frozen=True, slots=True)
class Chunk:
    """One step of a request. `text` and `reasoning` are what is new; counts and speeds are of the request so far.

    `shared_tokens` of the prompt were in the cache; where it cannot be rolled back only some of them, `cached_tokens`,
    need not be read again. In the prefill phase `prefilled` of `prompt_tokens` - `cached_tokens` tokens are done. The
    last chunk has phase `done` and a `finish`. Seconds and tokens per second; None until known. `context_used` counts
    KV cells in use. `waited_s`: how long it has waited for room, or had until it began.
    `is_incomplete`: it was cut before its grammar lets it end.
    `notes` say what was done to the conversation to please the template, and why nothing is guessed any more.
    `happened`: what befell the answer on the way; with LENGTH, why it was ended. `stopped_by` is the stop text that
    ended it.
    About `reasoning_tokens` of the `completion_tokens` were thinking: where a step has both, by their letters.
    `recast`: all text of the chunks before is thinking after all, for the model has closed what it never opened.
    `calls` are new pieces of calls, each behind the text of its chunk.
    `logprobs`, where they were asked for, has an entry for each token drawn, those included that are no text.
    `draft`: what guesses have brought; None where there are none.
    """

    phase: Phase
    text: str = ""
    reasoning: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    shared_tokens: int = 0
    prefilled: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    context_used: int = 0
    ttft_s: float | None = None
    prefill_tps: float | None = None
    decode_tps: float | None = None
    seed: int | None = None
    waited_s: float = 0.0
    finish: Finish | None = None
    stopped_by: str | None = None
    is_incomplete: bool = False
    notes: tuple[str, ...] = ()
    happened: str | None = None
    recast: bool = False
    calls: tuple[CallDelta, ...] = ()
    logprobs: tuple[TokenLogprobs, ...] = ()
    draft: Drafted | None = None

    def behind(self, text: str, reasoning: str) -> tuple[str, str]:
        """Text and reasoning of an answer that had so much of both before it."""
        if self.recast:
            text, reasoning = "", reasoning + text
        return text + self.text, reasoning + self.reasoning

    @property
    def says_something(self) -> bool:
        """Whether it has words, or a piece of a call."""
        return bool(self.text or self.reasoning or self.calls)

    @property
    def plain_decode_tps(self) -> float | None:
        """The speed of decode without what guesses have gained: what a prediction is held against."""
        return self.decode_tps if self.decode_tps is None or self.draft is None else self.decode_tps / self.draft.gain

    @property
    def comparable_prefill_tps(self) -> float | None:
        """The speed of prefill, where enough was read to hold it against a prediction."""
        return self.prefill_tps if self.prefilled >= SURE_PROMPT else None
