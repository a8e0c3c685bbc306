"""What an acceptance run found, row by row, and what that says about the planner. Pure."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runner.report import contract
from runner.report.contract import Json
from runner.types.engine import ComponentBytes
from runner.types.placement import Placement
from runner.types.plan import MemoryRow, Predicted
from runner.types.units import gib

_RATIOS = ("decode_tps", "decode_tps_at_depth", "prefill_tps")


@dataclass(frozen=True, slots=True)
class Expected:
    """A placement and what is said of it before it is loaded."""

    placement: Placement
    memory: tuple[MemoryRow, ...]
    speed: Predicted


@dataclass(frozen=True, slots=True)
class Measured:
    """One placement loaded and run. Bytes by device: llama.cpp's own, and what the driver counts beyond before.

    Tokens per second: decode of 128 tokens at depth 0, decode at the depth predicted, prefill of 512 tokens.
    """

    memory: tuple[ComponentBytes, ...]
    driver: Mapping[str, int]
    decode_tps: float
    decode_tps_at_depth: float
    prefill_tps: float
    load_s: float


@dataclass(frozen=True, slots=True)
class Run:
    """What was expected and what came; where nothing came, `failure` says why."""

    expected: Expected
    measured: Measured | None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One model under one limit, in bytes, of every device's memory; `fit_by` says who worked out --fit's answer."""

    model: str
    vram_limit: int
    confirmed_by: str
    ours: Run
    fit: Run
    fit_by: str
    seconds: float


def sentence(row: Row) -> str:
    """A row for whoever waits."""
    ours, fit = row.ours.measured, row.fit.measured
    if ours is None or fit is None:
        return f"{row.model} in {gib(row.vram_limit)} failed: {row.ours.failure or row.fit.failure}"
    return (
        f"{row.model} in {gib(row.vram_limit)}: decode {ours.decode_tps:.1f} tok/s, with --fit {fit.decode_tps:.1f}; "
        f"prefill {ours.prefill_tps:.0f}, with --fit {fit.prefill_tps:.0f}"
    )


def row_json(row: Row) -> Json:
    """A row; speeds of ours over those of --fit: 1 is equal, more is faster."""
    ours, fit = row.ours.measured, row.fit.measured
    return {
        "model": row.model,
        "vram_limit": row.vram_limit,
        "confirmed_by": row.confirmed_by,
        "ours": _run_json(row.ours),
        "fit": {"by": row.fit_by, **_run_json(row.fit)},
        "ours_over_fit": {name: round(over(ours, fit, name), 3) for name in _RATIOS} if ours and fit else None,
        "seconds": round(row.seconds, 1),
    }


def _run_json(run: Run) -> Json:
    placement, measured = run.expected.placement, run.measured
    said = {
        "placement": {"ctx": placement.ctx, **contract.placement_json(placement)},
        "predicted": contract.predicted_json(run.expected.speed),
    }
    if measured is None:
        return {**said, "failure": run.failure}
    totals = {row.device: row.total for row in run.expected.memory}
    return {
        **said,
        "measured": {name: round(getattr(measured, name), 3) for name in (*_RATIOS, "load_s")},
        "memory": contract.planned_and_measured(run.expected.memory, measured.memory),
        "driver": {name: {"planned": totals.get(name, 0), "measured": size} for name, size in measured.driver.items()},
    }


def over(ours: Measured, fit: Measured, name: str) -> float:
    """How much faster ours is in one of its speeds."""
    return float(getattr(ours, name) / getattr(fit, name))


def summary(rows: Sequence[Row]) -> Json:
    """How far off everything was: shares above (or below) what was measured, or what --fit reached; None for nothing.

    Bytes are those of our placements, confirmed by a rehearsal; predicted speeds those of both.
    """
    ours = [(row.ours.expected, row.ours.measured) for row in rows if row.ours.measured]
    both = ours + [(row.fit.expected, row.fit.measured) for row in rows if row.fit.measured]
    pairs = [(a, b) for row in rows if (a := row.ours.measured) and (b := row.fit.measured)]
    return {
        "rows": len(rows),
        "failed": sum(row.ours.measured is None for row in rows),
        "fit_failed": sum(row.fit.measured is None for row in rows),
        "bytes_on_devices": spread(error for pair in ours for error in _byte_errors(*pair, host=False)),
        "bytes_on_host": spread(error for pair in ours for error in _byte_errors(*pair, host=True)),
        "bytes_by_driver": spread(error for pair in ours for error in _driver_errors(*pair)),
        "decode_over_fit": spread(over(a, b, "decode_tps") - 1 for a, b in pairs),
        "decode_over_fit_at_depth": spread(over(a, b, "decode_tps_at_depth") - 1 for a, b in pairs),
        "prefill_over_fit": spread(over(a, b, "prefill_tps") - 1 for a, b in pairs),
        "decode_predicted": spread(e.speed.decode_tps / m.decode_tps_at_depth - 1 for e, m in both),
        "prefill_predicted": spread(e.speed.prefill_tps / m.prefill_tps - 1 for e, m in both),
    }


def _byte_errors(expected: Expected, measured: Measured, *, host: bool) -> Iterator[float]:
    """Weights, KV and compute together, one number a device."""
    real = {row.device: row.held for row in measured.memory}
    for row in expected.memory:
        if (row.device == "CPU") is host and real.get(row.device):
            yield row.held / real[row.device] - 1


def _driver_errors(expected: Expected, measured: Measured) -> Iterator[float]:
    """The total with the overhead of a process."""
    for row in expected.memory:
        if measured.driver.get(row.device, 0) > 0:
            yield row.total / measured.driver[row.device] - 1


def spread(values: Iterator[float]) -> Json | None:
    """The median, the least and the most."""
    numbers = list(values)
    if not numbers:
        return None
    said = {"median": statistics.median(numbers), "least": min(numbers), "most": max(numbers)}
    return {name: round(value, 4) for name, value in said.items()}
