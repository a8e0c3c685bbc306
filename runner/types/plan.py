"""The words of a plan: what was wished, where everything goes, what it costs and why. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from models.headers.recommended import Recommended
from models.weights import Modelfile
from runner.types.drafts import DraftKind
from runner.types.engine import ComponentBytes
from runner.types.exchange import Wait
from runner.types.machine import Machine
from runner.types.placement import Placement
from runner.types.reasons import Reason, Why
from runner.types.study import Study
from runner.types.wish import Wish


class Verdict(StrEnum):
    """Where a candidate would run."""

    GPU = "gpu"
    SPLIT = "split"
    CPU = "cpu"
    NO = "no"


class Source(StrEnum):
    """Who vouches for the bytes of a candidate."""

    REHEARSAL = "rehearsal"
    STAND_IN = "stand-in"
    FORMULA = "formula"
    HISTORY = "history"


@dataclass(frozen=True, slots=True)
class MemoryRow(ComponentBytes):
    """One ledger line, in bytes; `free` is what the device had before."""

    overhead: int
    free: int

    @property
    def total(self) -> int:
        """Weights, KV, compute and overhead; never the margin."""
        return self.held + self.overhead

    @property
    def free_after(self) -> int:
        """What stays free; negative when overdrawn."""
        return self.free - self.total


Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Spread:
    """Least and most of each speed: eight in ten measurements lie between. In `Predicted.spread` as shares of it."""

    decode: Bounds
    prefill: Bounds


@dataclass(frozen=True, slots=True)
class Guesses:
    """What a companion is expected to bring: `gain` times as many tokens a second as one at a time.

    `acceptance`: the share of its guesses that comes true. `guessed` in a step, as was published for its `kind`; None:
    both were measured here.
    """

    kind: DraftKind
    acceptance: float
    gain: float
    guessed: int | None = None

    @property
    def is_measured(self) -> bool:
        """Whether that was measured here."""
        return self.guessed is None


@dataclass(frozen=True, slots=True)
class Predicted:
    """Tokens per second; decode with `at_depth` tokens in the KV cache. `spread`: how sure that is, None if unknown.

    `decode_tps` is one token at a time, whatever a companion's `guesses` bring beside.
    """

    decode_tps: float
    prefill_tps: float
    at_depth: int
    spread: Spread | None = None
    guesses: Guesses | None = None

    @property
    def range(self) -> Spread | None:
        """The spread in tokens per second."""
        if self.spread is None:
            return None
        (slow, fast), (least, most) = self.spread.decode, self.spread.prefill
        return Spread(
            (slow * self.decode_tps, fast * self.decode_tps), (least * self.prefill_tps, most * self.prefill_tps)
        )


@dataclass(frozen=True, slots=True)
class CompanionPlan:
    """What guesses beside a candidate's weights; `memory` is the part of the candidate's own ledger that it takes.

    `name` is what somebody typed for a small model with these `files`; a model's own heads have neither.
    """

    kind: DraftKind
    memory: tuple[MemoryRow, ...]
    name: str = ""
    files: tuple[str, ...] = ()
    download_bytes: int = 0

    @property
    def bytes(self) -> int:
        """What it takes in all."""
        return sum(row.total for row in self.memory)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One quantization with the best way to run it here; `memory` has a row per device used, the CPU last.

    `predicted` and `wait` are None only for a `no` that was not forced by flags. `reasons`, the most important first.
    `short_of_gpu`: bytes that the devices lack to hold all of it, 0 where they do or where there are none;
    `short_of_all`: bytes that all memory together lacks. What `companions` take and what of them is still to be
    downloaded is in `memory` and `download_bytes`.
    """

    quant: str
    files: tuple[str, ...]
    file_bytes: int
    bits_per_weight: float
    download_bytes: int
    verdict: Verdict
    placement: Placement | None
    memory: tuple[MemoryRow, ...]
    predicted: Predicted | None
    confirmed_by: Source
    reasons: tuple[Reason, ...] = ()
    short_of_gpu: int = 0
    short_of_all: int = 0
    wait: Wait | None = None
    companions: tuple[CompanionPlan, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model in a plan's head line."""

    name: str
    arch: str
    parameters: int
    layers: int
    experts: int
    experts_used: int
    context_trained: int


@dataclass(frozen=True, slots=True)
class CouldGuess:
    """A small model of the catalog that is expected to make answers `gain` times as fast; `name` is what to type."""

    name: str
    gain: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Candidates, best quality first; `chosen` is an index, None when nothing runs; `why` is about the choice.

    `wish` is the question that it answers, `study` what was known of the model (None where only shapes were). `hint`:
    who could guess for it, where nobody was asked.
    """

    model: ModelInfo
    machine: Machine
    candidates: tuple[Candidate, ...]
    chosen: int | None
    why: tuple[Why, ...]
    seconds: float = 0.0
    wish: Wish = field(default_factory=Wish)
    study: Study | None = field(default=None, compare=False, repr=False)
    hint: CouldGuess | None = None

    @property
    def fetched_bytes(self) -> int:
        """What came over the network for the headers."""
        drafters = self.study.drafters if self.study else None
        return sum(study.fetched_bytes for study in (self.study, drafters) if study)

    @property
    def modelfile(self) -> Modelfile:
        """What Ollama keeps beside the weights; empty for all others."""
        return (self.study.offer.modelfile if self.study else None) or Modelfile()

    def recommended(self, candidate: Candidate) -> tuple[Recommended, ...]:
        """How the model's maker wants a candidate sampled."""
        return self.study.recommended(candidate.files) if self.study else ()


@dataclass(frozen=True, slots=True)
class Terms:
    """What a person wants to know before a download, besides its size.

    `place` is the folder; `licence` as its publisher names it; `seconds` None where no rate is known.
    """

    place: str
    licence: str | None = None
    seconds: float | None = None
