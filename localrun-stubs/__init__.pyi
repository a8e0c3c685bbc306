"""What a type checker knows of `import localrun` (PEP 561): a module has no mark that it is typed, stubs need none.

The TypedDicts are here alone. An annotation names them under `if TYPE_CHECKING: from localrun import Result`.
"""

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from typing import Any, Literal, NotRequired, Self, TypedDict, Unpack, type_check_only

__all__ = ["Chunk", "Error", "Model", "main", "open", "plan"]

# ---- what goes in

@type_check_only
class _Function(TypedDict):
    name: str
    description: NotRequired[str]
    parameters: NotRequired[Mapping[str, Any]]

@type_check_only
class Tool(TypedDict):
    type: Literal["function"]
    function: _Function

@type_check_only
class _Named(TypedDict):
    name: str

@type_check_only
class Choice(TypedDict):
    """The one tool that is to be called."""

    type: Literal["function"]
    function: _Named

@type_check_only
class Sampling(TypedDict, total=False):
    """As on the command line; None leaves a setting to the model."""

    temp: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    repeat_penalty: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    logit_bias: Mapping[str, float] | None
    seed: int | None
    max_tokens: int | None
    stop: str | Sequence[str] | None
    logprobs: int | None
    think: Literal["on", "off", "low", "medium", "high", "auto"] | None
    think_budget: int | None
    tools: Sequence[Tool | _Function] | None
    tool_choice: str | Choice | None
    parallel_tool_calls: bool | None

Messages = Sequence[Mapping[str, Any]]

# ---- a plan

@type_check_only
class ModelInfo(TypedDict):
    name: str
    arch: str
    parameters: int
    layers: int
    experts: int
    experts_used: int
    context_trained: int

@type_check_only
class Road(TypedDict):
    """The network to another machine: seconds there and back, bytes per second."""

    latency_s: float
    bandwidth: float | None

@type_check_only
class Device(TypedDict):
    """Bytes, and bytes per second. One of another machine says whose it is, and how far away."""

    id: str
    kind: str
    name: str
    total: int
    free: int
    bandwidth: float | None
    shares_host_memory: bool
    overhead: NotRequired[int]
    machine: NotRequired[str]
    endpoint: NotRequired[str]
    road: NotRequired[Road]

@type_check_only
class Machine(TypedDict):
    source: str
    ram_total: int
    ram_available: int
    ram_bandwidth: float | None
    cores: int
    devices: list[Device]
    notes: list[str]

@type_check_only
class Override(TypedDict):
    pattern: str
    device: str

@type_check_only
class Placement(TypedDict):
    """What llama.cpp is told."""

    devices: list[str]
    gpu_layers: int
    layers_total: int
    tensor_split: list[int]
    overrides: list[Override]
    experts_on_cpu: int
    ffn_on_cpu: int
    ubatch: int
    outputs: int
    threads: int
    load_mode: str
    offload_batch: int
    split_mode: str
    pooling: str | None
    checkpoints: int
    numa: str | None
    drafts: int
    rollback: int

@type_check_only
class LoadedPlacement(Placement):
    ctx: int
    kv_type: str

@type_check_only
class MemoryRow(TypedDict):
    device: str
    weights: int
    kv: int
    compute: int
    overhead: int
    free: int
    total: int
    free_after: int

@type_check_only
class Range(TypedDict):
    decode: list[float]
    prefill: list[float]

@type_check_only
class Guesses(TypedDict):
    """What is assumed of a companion's guesses; `guessed` in a step, None where they were measured here."""

    kind: str
    guessed: int | None
    acceptance: float
    gain: float
    decode_tps: float
    measured: bool

@type_check_only
class Companion(TypedDict):
    """Who guesses; `memory` is its part of the candidate's. A model's own heads have no file and no placement."""

    kind: str
    file: str | None
    memory: list[MemoryRow]
    download_bytes: int
    placement: Placement | None

@type_check_only
class Predicted(TypedDict):
    decode_tps: float
    prefill_tps: float
    at_depth: int
    range: Range | None
    draft: Guesses | None

@type_check_only
class Exchange(TypedDict):
    depth: int
    prompt: int
    answer: int
    weight: float

@type_check_only
class Requests(TypedDict):
    mix: list[Exchange]
    seconds: float

@type_check_only
class OnOthers(TypedDict):
    """What is on another machine's device; seconds to load it, and of each token."""

    device: str
    machine: str
    layers: int
    weights: int
    load_s: float | None
    keeps_weights: bool
    round_trips: int
    token_s: float

@type_check_only
class Candidate(TypedDict):
    quant: str
    files: list[str]
    file_bytes: int
    bits_per_weight: float
    download_bytes: int
    verdict: Literal["gpu", "split", "cpu", "no"]
    ctx: int | None
    kv_type: str | None
    placement: Placement | None
    memory: list[MemoryRow]
    companions: list[Companion]
    predicted: Predicted | None
    request: Requests | None
    network: list[OnOthers]
    confirmed_by: str
    reasons: list[str]
    short_of_gpu: int

@type_check_only
class CouldGuess(TypedDict):
    """A small model that is expected to make answers `gain` times as fast, if `draft` names it."""

    name: str
    gain: float

@type_check_only
class Plan(TypedDict):
    """`chosen` is an index of `candidates`, None where none runs."""

    model: ModelInfo
    machine: Machine
    candidates: list[Candidate]
    chosen: int | None
    why: str
    hint: CouldGuess | None
    fetched_bytes: int
    seconds: float

# ---- what was loaded, and its answers

@type_check_only
class ModelName(TypedDict):
    name: str
    quant: str

@type_check_only
class Components(TypedDict):
    weights: int
    kv: int
    compute: int

@type_check_only
class PlannedAndMeasured(TypedDict):
    device: str
    planned: Components | None
    measured: Components | None

@type_check_only
class Info(TypedDict):
    model: ModelName
    placement: LoadedPlacement
    memory: list[PlannedAndMeasured]
    notes: list[str]

@type_check_only
class Usage(TypedDict):
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reread_reason: str | None

@type_check_only
class Slow(TypedDict):
    below: float
    cause: dict[str, Any] | None
    message: str

@type_check_only
class Draft(TypedDict):
    kind: str
    drafted: int
    accepted: int
    gain: float

@type_check_only
class Timings(TypedDict):
    load_s: float
    ttft_s: float | None
    prefill_tps: float | None
    decode_tps: float | None
    slow: NotRequired[Slow]
    draft: NotRequired[Draft]

@type_check_only
class LikelyToken(TypedDict):
    id: int
    token: str
    bytes: list[int]
    logprob: float

@type_check_only
class TokenLogprobs(LikelyToken):
    top_logprobs: list[LikelyToken]

@type_check_only
class Problem(TypedDict):
    kind: str
    message: str
    code: int

@type_check_only
class Called(TypedDict):
    """`arguments` is JSON as text."""

    name: str
    arguments: str

@type_check_only
class ToolCall(TypedDict):
    id: str
    type: Literal["function"]
    function: Called

@type_check_only
class CalledDelta(TypedDict):
    name: NotRequired[str]
    arguments: str

@type_check_only
class ToolCallDelta(TypedDict):
    index: int
    id: NotRequired[str]
    type: NotRequired[Literal["function"]]
    function: CalledDelta

_FinishReason = Literal["stop", "tool_calls", "length", "interrupted", "error"]

@type_check_only
class Result(TypedDict):
    """The object of `localrun -p ... --json`. `sampling` has value and source of each setting in force."""

    text: str
    reasoning: str | None
    finish_reason: _FinishReason
    model: ModelName
    usage: Usage
    timings: Timings
    placement: LoadedPlacement
    memory: list[PlannedAndMeasured]
    seed: int | None
    logprobs: list[TokenLogprobs] | None
    sampling: dict[str, list[float | str]]
    notes: list[str]
    tool_calls: list[ToolCall] | None

@type_check_only
class BatchResult(TypedDict, total=False):
    """A Result; where there is an `error`, as much of one as there is."""

    text: str
    reasoning: str | None
    finish_reason: _FinishReason
    model: ModelName
    usage: Usage
    timings: Timings
    placement: LoadedPlacement
    memory: list[PlannedAndMeasured]
    seed: int | None
    logprobs: list[TokenLogprobs] | None
    sampling: dict[str, list[float | str]]
    notes: list[str]
    tool_calls: list[ToolCall] | None
    error: Problem

# ---- the module

class Error(Exception):
    code: int
    def __init__(self, message: str, code: int = 1) -> None: ...

class Chunk:
    text: str
    reasoning: str
    finish_reason: _FinishReason | None
    tool_calls: Sequence[ToolCallDelta]
    result: Result | None
    def __init__(
        self,
        text: str = "",
        reasoning: str = "",
        finish_reason: _FinishReason | None = None,
        tool_calls: Sequence[ToolCallDelta] = (),
        result: Result | None = None,
    ) -> None: ...

class Model:
    info: Info
    def __init__(self, model: str, **flags: object) -> None: ...
    def chat(self, messages: Messages, **sampling: Unpack[Sampling]) -> Generator[Chunk]: ...
    def complete(self, text: str, **sampling: Unpack[Sampling]) -> Generator[Chunk]: ...
    def ask(self, prompt: str, system: str | None = None, **sampling: Unpack[Sampling]) -> str: ...
    def batch(
        self, prompts: Sequence[str | Messages], **sampling: Unpack[Sampling]
    ) -> Generator[tuple[int, BatchResult]]: ...
    def count_tokens(self, asked: str | Messages) -> int: ...
    def embed(self, texts: Sequence[str], role: str | None = None, *, truncate: bool = False) -> list[list[float]]: ...
    def rerank(self, query: str, texts: Sequence[str], *, truncate: bool = False) -> list[float]: ...
    def achat(self, messages: Messages, **sampling: Unpack[Sampling]) -> AsyncGenerator[Chunk]: ...
    def acomplete(self, text: str, **sampling: Unpack[Sampling]) -> AsyncGenerator[Chunk]: ...
    async def aask(self, prompt: str, system: str | None = None, **sampling: Unpack[Sampling]) -> str: ...
    def abatch(
        self, prompts: Sequence[str | Messages], **sampling: Unpack[Sampling]
    ) -> AsyncGenerator[tuple[int, BatchResult]]: ...
    async def acount_tokens(self, asked: str | Messages) -> int: ...
    async def aembed(
        self, texts: Sequence[str], role: str | None = None, *, truncate: bool = False
    ) -> list[list[float]]: ...
    async def arerank(self, query: str, texts: Sequence[str], *, truncate: bool = False) -> list[float]: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

def plan(model: str, on: str | None = None, **flags: object) -> Plan: ...
def open(model: str, **flags: object) -> Model: ...
def main() -> None: ...
