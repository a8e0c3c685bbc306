"""What was measured here before corrects the next plan. Pure.

Only what ran under the very same conditions counts: the same weights, placed the same way, on the same devices. The
context may differ for speeds, not for bytes. A single measurement may have met a busy moment: until there are
three, it is met halfway.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from runner.planning.companions import OWN_HEADS
from runner.planning.pick import pick, taken_as
from runner.types.codec import pack
from runner.types.drafts import Drafted
from runner.types.engine import ComponentBytes
from runner.types.exchange import Exchange, Wait
from runner.types.generation import Chunk
from runner.types.machine import Machine
from runner.types.measurement import Guessed, Measurement
from runner.types.placement import Placement
from runner.types.plan import Candidate, Guesses, MemoryRow, Plan, Predicted, Source, Verdict
from runner.types.reasons import FromHistory

_LATEST = 5  # measurements that count
_ENOUGH = 3  # measurements that need no caution
_TURNS = 60  # that say what a person asks for
_SURE_TOKENS = 32  # a shorter answer says little about decode
_SURE_GUESSES = 200  # from which on what came true of them counts before what was published


def applied(plan: Plan, measurements: Sequence[Measurement]) -> Plan:
    """The plan with what was measured here before; where that changes speed or choice, it says so."""
    candidates = tuple(corrected(candidate, plan.machine, measurements) for candidate in plan.candidates)
    if candidates == plan.candidates or plan.chosen is None:
        return replace(plan, candidates=candidates)
    picked = pick(candidates, plan.wish.prefer, asked=plan.wish.quant is not None)
    assert picked is not None  # no verdict has changed
    chosen, _goal = picked
    taken = candidates[chosen]
    if chosen == plan.chosen and taken.predicted == plan.candidates[chosen].predicted:
        return replace(plan, candidates=candidates)
    return replace(plan, candidates=candidates, chosen=chosen, why=(taken_as(taken, FromHistory()),))


def corrected(candidate: Candidate, machine: Machine, measurements: Iterable[Measurement]) -> Candidate:
    """The candidate with what was measured under the same conditions, if it ever was."""
    placement = candidate.placement
    if placement is None or candidate.verdict is Verdict.NO or machine.source != "probe":
        return candidate
    wanted = conditions_of(machine, candidate, placement)
    same = [one for one in measurements if one.conditions == wanted]
    held = [one.measured for one in same if one.ctx == placement.ctx]
    if not same:
        return candidate
    return replace(
        candidate,
        memory=tuple(_measured(row, held[-1]) for row in candidate.memory) if held else candidate.memory,
        predicted=(predicted := _experienced(candidate.predicted, same)),
        wait=_waited(candidate.wait, candidate.predicted, predicted),
        confirmed_by=Source.HISTORY if held else candidate.confirmed_by,
    )


def _measured(row: MemoryRow, found: Sequence[ComponentBytes]) -> MemoryRow:
    real = next((item for item in found if item.device == row.device), None)
    return replace(row, weights=real.weights, kv=real.kv, compute=real.compute) if real else row


def _experienced(predicted: Predicted | None, same: Sequence[Measurement]) -> Predicted | None:
    if predicted is None:
        return None
    is_sure = sum(one.decode_tps > 0 for one in same) >= _ENOUGH
    return replace(
        predicted,
        spread=None if is_sure else predicted.spread,
        decode_tps=_met(predicted.decode_tps, [one.decode_tps for one in same]),
        prefill_tps=_met(predicted.prefill_tps, [one.prefill_tps for one in same]),
    )


def _waited(wait: Wait | None, before: Predicted | None, after: Predicted | None) -> Wait | None:
    """Longer or shorter as the speeds are lower or higher than they were predicted."""
    if wait is None or before is None or after is None:
        return wait
    prompt_s = wait.prompt_s * before.prefill_tps / after.prefill_tps
    return replace(wait, prompt_s=prompt_s, answer_s=wait.answer_s * before.decode_tps / after.decode_tps)


def _met(predicted: float, measured: Sequence[float]) -> float:
    """The median of the latest measurements; of too few, halfway to it from the prediction (geometric mean)."""
    known = [speed for speed in measured if speed > 0][-_LATEST:]
    if not known:
        return predicted
    middle = statistics.median(known)
    return middle if len(known) >= _ENOUGH else math.sqrt(predicted * middle)


def habits_of(measurements: Sequence[Measurement]) -> tuple[Exchange, ...]:
    """The latest turns, for the mix of requests that a placement is chosen for."""
    return tuple(one.turn for one in measurements if one.turn is not None)[-_TURNS:]


def learned(measurements: Sequence[Measurement], model: str) -> dict[str, Guesses]:
    """What guesses have brought the weights in this file here, by who guessed; only where they were enough to tell."""
    found: dict[str, list[Drafted]] = {}
    for one in reversed(measurements):
        if one.guessed is not None and one.guessed.model == model:
            found.setdefault(one.guessed.by, []).append(one.guessed.drafted)
    return {by: _mean(latest) for by, all_of_them in found.items() if (latest := _enough(all_of_them))}


def _enough(newest_first: Sequence[Drafted]) -> list[Drafted]:
    """The latest that have enough guesses together; empty where all have fewer."""
    total = 0
    for count, one in enumerate(newest_first, 1):
        total += one.drafted
        if total >= _SURE_GUESSES:
            return list(newest_first[:count])
    return []


def _mean(turns: Sequence[Drafted]) -> Guesses:
    drafted = sum(one.drafted for one in turns)
    gain = sum(one.gain * one.drafted for one in turns) / drafted
    return Guesses(turns[0].kind, sum(one.accepted for one in turns) / drafted, gain)


# ---- what is measured


def turn_of(last: Chunk) -> Exchange | None:
    """What was asked and answered, by the last chunk of a turn; None where nothing was."""
    read = last.prompt_tokens - last.cached_tokens
    if read < 1 or last.completion_tokens < 1:
        return None
    return Exchange(last.cached_tokens, read, last.completion_tokens)


def measurement_of(
    machine: Machine,
    candidate: Candidate,
    placement: Placement,
    measured: Sequence[ComponentBytes],
    last: Chunk | None,
    at: float,
) -> Measurement:
    """What a load held and, with the last chunk of a turn long enough to tell, how fast that was.

    `at` is the time in seconds since 1970.
    """
    decode = last.plain_decode_tps if last and last.completion_tokens >= _SURE_TOKENS else None
    prefill = last.comparable_prefill_tps if last else None
    conditions = conditions_of(machine, candidate, placement)
    speeds = (decode or 0.0, prefill or 0.0)
    return Measurement(
        conditions, placement.ctx, tuple(measured), *speeds, at, guessed=_guessed(candidate, placement, last)
    )


def _guessed(candidate: Candidate, placement: Placement, last: Chunk | None) -> Guessed | None:
    """What a companion has brought a turn."""
    drafted, companion = last and last.draft, placement.companion
    if not drafted or not drafted.drafted or companion is None or drafted.kind != companion.kind:
        return None
    return Guessed(candidate.files[-1], companion.path or OWN_HEADS, drafted)


def conditions_of(machine: Machine, candidate: Candidate, placement: Placement) -> str:
    """Everything that speed depends on, as one line; memory depends on the context as well."""
    devices = [f"{device.name} {device.total}" for device in machine.devices] or [machine.cpu_name]
    placed: dict[str, Any] = {**pack(placement), "ctx": None}
    facts = [candidate.quant, candidate.file_bytes, candidate.files[-1:], devices, sorted(placed.items())]
    return json.dumps(facts, sort_keys=True)
