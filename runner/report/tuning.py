"""Placements that were measured beside each other, in words, a table and JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from runner.report.contract import Json, loaded_placement_json, request_json
from runner.report.placement import layers_on
from runner.report.table import Table
from runner.report.words import NOT_KNOWN, one_line, percent, rate_cell, seconds
from runner.types.placement import Placement
from runner.types.plan import Plan
from runner.types.tuning import Trial, Tuning

_MODES = {"mmap": "mapped", "none": "not mapped"}


def trial_line(trial: Trial, planned: Placement) -> str:
    """`threads 2: 5.2 s a request`."""
    took = trial.failure if trial.timed is None else f"{seconds(trial.timed.wait.seconds)} a request"
    return f"{differences(trial.placement, planned)}: {took}"


def differences(placement: Placement, planned: Placement) -> str:
    """What a placement does otherwise than the planned one: `ubatch 1024, threads 2`."""
    return ", ".join(_differences(placement, planned)) or "as planned"


def _differences(placement: Placement, planned: Placement) -> Iterator[str]:
    if _layout(placement) != _layout(planned):
        yield layers_on(placement)
    if placement.ubatch != planned.ubatch:
        yield f"ubatch {placement.ubatch}"
    if placement.threads != planned.threads:
        yield f"threads {placement.threads}"
    if placement.load_mode != planned.load_mode:
        yield _MODES[placement.load_mode]


def _layout(placement: Placement) -> tuple[object, ...]:
    return placement.devices, placement.tensor_split, placement.overrides, placement.split_mode


def tuning_table(tuning: Tuning) -> Table:
    """Every placement: tokens per second, seconds of a request in the mean of the mix, measured and predicted."""
    planned = tuning.trials[0].placement
    rows = [(differences(trial.placement, planned), *_cells(trial)) for trial in tuning.trials]
    return Table(("placement", "prefill", "decode", "request", "predicted"), rows, right=(1, 2, 3, 4))


def _cells(trial: Trial) -> tuple[str, str, str, str]:
    timed, predicted = trial.timed, seconds(trial.wait.seconds)
    if timed is None:
        return NOT_KNOWN, NOT_KNOWN, one_line(trial.failure or NOT_KNOWN), predicted
    return rate_cell(timed.prefill_tps), rate_cell(timed.decode_tps), seconds(timed.wait.seconds), predicted


def conclusion(tuning: Tuning) -> str:
    """What won, what that gains, and what becomes of it."""
    own, best = tuning.trials[0].timed, tuning.trials[tuning.best].timed
    if len(tuning.trials) == 1:
        return "There was no time or nothing else to measure than the plan; --budget gives more time."
    if not tuning.is_kept or own is None or best is None:
        return "Nothing that was measured beats the plan by enough to be sure; it stays."
    name = differences(tuning.trials[tuning.best].placement, tuning.trials[0].placement)
    took, planned = seconds(best.wait.seconds), seconds(own.wait.seconds)
    return (
        f"Best: {name}. A request takes {took} in the mean, {planned} as planned: {percent(tuning.gain)} faster. "
        "The next plan takes it."
    )


def tuning_json(tuning: Tuning, plan: Plan, quant: str) -> Json:
    """`tune --json`."""
    mix = request_json(tuning.trials[0].wait)
    return {
        "model": {"name": plan.model.name, "quant": quant},
        "mix": mix["mix"] if mix else [],
        "asked": {"prompt": tuning.asked.prompt, "answer": tuning.asked.answer},
        "rows": [_trial_json(trial) for trial in tuning.trials],
        "best": tuning.best,
        "gain": round(tuning.gain, 3),
        "kept": tuning.is_kept,
    }


def _trial_json(trial: Trial) -> Json:
    timed = trial.timed
    measured = timed and {
        "prefill_tps": round(timed.prefill_tps, 1),
        "decode_tps": round(timed.decode_tps, 2),
        "load_s": round(timed.load_s, 2),
        "request_s": round(timed.wait.seconds, 2),
    }
    return {
        "changed": trial.changed or None,
        "placement": loaded_placement_json(trial.placement),
        "predicted": {"request_s": round(trial.wait.seconds, 2)},
        "measured": measured,
        "failure": trial.failure,
    }
