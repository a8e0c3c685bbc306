"""What an acceptance run found, row by row: as data for a record, and as a table of requests. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from runner.report import contract
from runner.report.contract import Json
from runner.types.codec import pack
from runner.types.engine import ComponentBytes
from runner.types.placement import Placement
from runner.types.plan import MemoryRow, Predicted
from runner.types.units import gib

ANSWER = 256  # tokens of the answer that a request is reckoned with


@dataclass(frozen=True, slots=True)
class Speeds:
    """Tokens per second of a request: reading its prompt into an empty cache, and the answer behind it."""

    prefill_tps: float
    decode_tps: float

    def seconds(self, prompt: int) -> float:
        """How long a request with an answer of 256 tokens takes."""
        return prompt / self.prefill_tps + ANSWER / self.decode_tps


@dataclass(frozen=True, slots=True)
class Expected:
    """A placement and what is said of it before it is loaded; `requests` by tokens of the prompt."""

    placement: Placement
    memory: tuple[MemoryRow, ...]
    speed: Predicted
    requests: Mapping[int, Speeds]


@dataclass(frozen=True, slots=True)
class Request:
    """One that was made: tokens of prompt and answer, and how fast they were."""

    prompt: int
    answer: int
    measured: Speeds


@dataclass(frozen=True, slots=True)
class Held:
    """A load. Bytes by device: llama.cpp's own, and what the driver counts beyond before the process began."""

    memory: tuple[ComponentBytes, ...]
    driver: Mapping[str, int]
    load_s: float


@dataclass(frozen=True, slots=True)
class Row:
    """One placement of one model. `failure` says what ended it early: what came before it is kept."""

    case: str
    model: str
    vram_limit: int | None
    variant: str
    expected: Expected
    held: Held | None = None
    requests: tuple[Request, ...] = ()
    failure: str | None = None

    @property
    def title(self) -> str:
        """For people."""
        limit = f" in {gib(self.vram_limit)}" if self.vram_limit else ""
        return f"{self.model}{limit}, {self.variant}"


def sentence(row: Row) -> str:
    """A row for whoever waits."""
    parts = [
        f"{one.prompt}: {one.measured.prefill_tps:.0f}, {one.measured.decode_tps:.1f} tok/s" for one in row.requests
    ]
    loaded = [f"loaded in {row.held.load_s:.1f} s"] if row.held else []
    return f"{row.title}: {'; '.join([*loaded, *parts, *([row.failure] if row.failure else [])])}"


def row_json(row: Row) -> Json:
    """A row of a record."""
    held, memory = row.held, row.expected.memory
    totals = {line.device: line.total for line in memory}
    said: Json = {
        "case": row.case,
        "model": row.model,
        "variant": row.variant,
        "vram_limit": row.vram_limit,
        "placement": pack(row.expected.placement),
        "predicted": contract.predicted_json(row.expected.speed),
        "requests": [_request_json(one, row.expected.requests[one.prompt]) for one in row.requests],
    }
    if held:
        said |= {
            "load_s": round(held.load_s, 2),
            "memory": contract.planned_and_measured(memory, held.memory),
            "driver": {name: {"planned": totals.get(name, 0), "measured": size} for name, size in held.driver.items()},
        }
    return said | ({"failure": row.failure} if row.failure else {})


def _request_json(request: Request, predicted: Speeds) -> Json:
    return {"prompt": request.prompt, "answer": request.answer, **_speeds(request.measured)} | {
        "predicted": _speeds(predicted)
    }


def _speeds(speeds: Speeds) -> Json:
    return {"prefill_tps": round(speeds.prefill_tps, 1), "decode_tps": round(speeds.decode_tps, 2)}


# ---- the table


def table(rows: Sequence[Row]) -> str:
    """Markdown: a line a row; by prompt prefill, decode and seconds of a request, the predicted ones in brackets."""
    prompts = sorted({request.prompt for row in rows for request in row.requests})
    head = ["model", "placement", "load s", *(f"prompt {prompt}" for prompt in prompts), "over plan"]
    lines = [head, ["---"] * len(head), *([*_cells(row, prompts), _ratio(row, rows)] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cells(row: Row, prompts: Iterable[int]) -> Iterator[str]:
    made = {request.prompt: request.measured for request in row.requests}
    yield f"{row.model}{f' in {gib(row.vram_limit)}' if row.vram_limit else ''}"
    yield f"{row.variant}: {_where(row.expected.placement)}"
    yield f"{row.held.load_s:.1f}" if row.held else row.failure or ""
    for prompt in prompts:
        yield _compared(made[prompt], row.expected.requests[prompt], prompt) if prompt in made else ""


def _where(placement: Placement) -> str:
    parts = placement.experts_on_cpu + placement.ffn_on_cpu or len(placement.overrides)
    moved = f", parts of {parts} on the host" if parts else ""
    mode = "pinned" if placement.load_mode == "none" else "mapped"
    return f"{placement.gpu_layers}/{placement.layers_total}{moved}, ubatch {placement.ubatch}, {mode}"


def _compared(measured: Speeds, predicted: Speeds, prompt: int) -> str:
    return (
        f"{measured.prefill_tps:.0f} ({predicted.prefill_tps:.0f}), {measured.decode_tps:.1f} "
        f"({predicted.decode_tps:.1f}), {measured.seconds(prompt):.1f} s ({predicted.seconds(prompt):.1f})"
    )


def _ratio(row: Row, rows: Sequence[Row]) -> str:
    """Seconds of its requests over those of the first row of its case, prompt by prompt."""
    first = next(one for one in rows if one.case == row.case)
    ours = {request.prompt: request.measured.seconds(request.prompt) for request in first.requests}
    return ", ".join(
        f"{request.measured.seconds(request.prompt) / ours[request.prompt]:.2f}"
        for request in row.requests
        if request.prompt in ours and row is not first
    )
