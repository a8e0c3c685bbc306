"""What the engine tells while it works: the seam between the runner and every front end. Pure data."""

from dataclasses import dataclass, field
from enum import StrEnum

from runner.types.sampling import Sampling


class Phase(StrEnum):
    """Which part of a request is going on."""

    PREFILL = "prefill"
    DECODE = "decode"
    DONE = "done"


class Finish(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    INTERRUPTED = "interrupted"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `role` is system, user or assistant. `reasoning` is kept apart from the answer."""

    role: str
    content: str
    reasoning: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What to generate: a conversation, or `raw` text that goes to the model as it is.

    `ignore_end` (benchmarks) goes on past the model's end-of-generation tokens; `reuse` false prefills everything anew.
    `resumed`: what an engine before this one has already answered to it; the conversation or `raw` ends with that.
    """

    messages: tuple[Message, ...] = ()
    raw: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    ignore_end: bool = False
    reuse: bool = True
    resumed: str = ""


SURE_PROMPT = 256  # tokens; a shorter prompt says little about prefill, which is predicted for 512


@dataclass(frozen=True, slots=True)
class Chunk:
    """One step of a request. `text` and `reasoning` are what is new; counts and speeds are of the request so far.

    In the prefill phase `prefilled` of `prompt_tokens` - `cached_tokens` tokens are done. The last chunk has phase
    `done` and a `finish`. Seconds and tokens per second; None until known. `context_used` counts KV cells in use.
    `notes` say what was done to the conversation to please the template. `happened`: what befell the answer on the way.
    """

    phase: Phase
    text: str = ""
    reasoning: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    prefilled: int = 0
    completion_tokens: int = 0
    context_used: int = 0
    ttft_s: float | None = None
    prefill_tps: float | None = None
    decode_tps: float | None = None
    seed: int | None = None
    finish: Finish | None = None
    notes: tuple[str, ...] = ()
    happened: str | None = None

    @property
    def comparable_prefill_tps(self) -> float | None:
        """The speed of prefill, where enough was read to hold it against a prediction."""
        return self.prefill_tps if self.prefilled >= SURE_PROMPT else None
