"""What the engine tells while it works: the seam between the runner and every front end. Pure data."""

from dataclasses import dataclass, field
from enum import StrEnum


class Phase(StrEnum):
    """Which part of a turn is going on."""

    PREFILL = "prefill"
    DECODE = "decode"
    DONE = "done"


class Finish(StrEnum):
    """Why a turn ended."""

    STOP = "stop"
    LENGTH = "length"
    INTERRUPTED = "interrupted"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn (llama.cpp's chain and defaults). `max_tokens` None: until the end or a full context.

    `seed` None: a fresh one, which the turn reports. `grammar` is GBNF.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    grammar: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `role` is system, user or assistant. `reasoning` is kept apart from the answer."""

    role: str
    content: str
    reasoning: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What to generate: a conversation, or `raw` text that goes to the model as it is.

    `ignore_end` (benchmarks) goes on past the model's end-of-generation tokens; `reuse` false prefills everything anew.
    """

    messages: tuple[Message, ...] = ()
    raw: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    ignore_end: bool = False
    reuse: bool = True


@dataclass(frozen=True, slots=True)
class Chunk:
    """One step of a turn. `text` and `reasoning` are what is new; all counts and speeds are of the turn so far.

    In the prefill phase `prefilled` of `prompt_tokens` - `cached_tokens` tokens are done. The last chunk has phase
    `done` and a `finish`. Seconds and tokens per second; None until known. `context_used` counts KV cells in use.
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


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """A step on the way to a loaded model: `fraction` in 0..1."""

    fraction: float


@dataclass(frozen=True, slots=True)
class ComponentBytes:
    """What one device really holds after the load, from llama.cpp's own breakdown."""

    device: str
    weights: int
    kv: int
    compute: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model is ready: its real context, what was allocated where, and how long it took."""

    ctx: int
    load_s: float
    memory: tuple[ComponentBytes, ...]
    template: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceSample:
    """One device now. `used` counts every process. None where the driver does not say.

    `utilisation` in 0..1, `temperature` in degrees Celsius, `power` in watts.
    """

    device: str
    total: int
    used: int | None
    utilisation: float | None = None
    temperature: float | None = None
    power: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """The machine now, for meters at 2 Hz. `engine_rss` is the child's resident memory."""

    at: float
    devices: tuple[DeviceSample, ...]
    ram_total: int
    ram_available: int
    engine_rss: int | None
    cpu: float | None = None
