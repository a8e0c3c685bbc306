"""What was measured here, apart from turns: how fast memory is read, and what a benchmark found. Pure data."""

from dataclasses import dataclass

from runner.types.generation import Chunk


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """How fast this computer's memory is read, and whether nothing else kept it busy when that was measured."""

    bytes_per_s: float
    quiet: bool


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Medians and ranges over the runs; tokens per second and seconds. `last` ends the last decode run."""

    decode_tps: float
    decode_range: tuple[float, float]
    prefill_tps: float
    prefill_range: tuple[float, float]
    ttft_s: float
    last: Chunk
