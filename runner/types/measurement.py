"""What was measured here: loads and turns, how fast memory is read, and what a benchmark found. Pure data."""

from dataclasses import dataclass

from runner.types.drafts import Drafted, DraftKind
from runner.types.engine import ComponentBytes
from runner.types.exchange import Exchange
from runner.types.generation import Chunk
from runner.types.placement import Placement


@dataclass(frozen=True, slots=True)
class Guessed:
    """What a companion's guesses have brought an answer of the weights in the file `model`.

    `by`: the file of a small model, or `mtp` for the model's own heads.
    """

    model: str
    by: str
    drafted: Drafted


@dataclass(frozen=True, slots=True)
class Measurement:
    """One load or turn, as it is kept for the next plan: `conditions` and `ctx` name it.

    `measured` is what llama.cpp held, `at` is seconds since 1970. Speeds in tokens per second, 0 for what was not
    measured. `turn`: what was asked and answered, None for a load and for a benchmark. `guessed`: None where no
    companion has.
    """

    conditions: str
    ctx: int
    measured: tuple[ComponentBytes, ...]
    decode_tps: float = 0.0
    prefill_tps: float = 0.0
    at: float = 0.0
    turn: Exchange | None = None
    guessed: Guessed | None = None


@dataclass(frozen=True, slots=True)
class Tuned:
    """The placement that was fastest when several were measured; `question` names weights, machine and wish.

    `gain`: mean time of a request as planned over that with it, less 1. `at` is seconds since 1970.
    """

    question: str
    placement: Placement
    gain: float
    at: float


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """How fast this computer's memory is read, and whether nothing else kept it busy when that was measured."""

    bytes_per_s: float
    quiet: bool


@dataclass(frozen=True, slots=True)
class DraftBenchmark:
    """A text that was decoded in turns with guesses and without: medians, tokens per second."""

    kind: DraftKind
    decode_tps: float
    plain_decode_tps: float
    drafted: int
    accepted: int


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Medians and ranges over the runs; tokens per second and seconds.

    `prompt_tokens` were read in a prefill run; `last` ends the last decode run. `draft`: a text that says itself again,
    `companion`: free prose where somebody guesses beside the model; None where nothing is guessed.
    `traffic`: bytes that went to other machines and back since the load began, by device.
    """

    decode_tps: float
    decode_range: tuple[float, float]
    prefill_tps: float
    prefill_range: tuple[float, float]
    ttft_s: float
    prompt_tokens: int
    last: Chunk
    draft: DraftBenchmark | None = None
    companion: DraftBenchmark | None = None
    traffic: tuple[tuple[str, int], ...] = ()
