"""Predicted against measured, kept on disk with its conditions; what was measured here corrects the next plan.

Only what ran under the very same conditions counts: the same weights, placed the same way, on the same devices. The
context may differ for speeds, not for bytes. A single measurement may have met a busy moment: until there are
three, it is met halfway; what is older than a month is forgotten, since drivers and neighbours change.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.planning.pick import pick
from runner.types.codec import pack, unpack
from runner.types.engine import ComponentBytes
from runner.types.generation import Chunk
from runner.types.machine import Machine
from runner.types.plan import Candidate, MemoryRow, Placement, Plan, Predicted, Source, Verdict, Wish
from runner.types.reasons import FromHistory

_LATEST = 5  # measurements that count
_ENOUGH = 3  # measurements that need no caution
_LIFETIME_S = 30 * 24 * 3600.0
_LINES = 500
_SURE_TOKENS = 32  # a shorter answer says little about decode
_SURE_PROMPT = 256  # nor does a shorter prompt about prefill


@dataclass(frozen=True, slots=True)
class Entry:
    """One load or turn: `conditions` and `ctx` name it, `measured` is what llama.cpp held.

    `at` is seconds since 1970. Speeds in tokens per second, 0 for what was not measured.
    """

    conditions: str
    ctx: int
    measured: tuple[ComponentBytes, ...]
    decode_tps: float = 0.0
    prefill_tps: float = 0.0
    at: float = 0.0


def entry_of(
    machine: Machine, candidate: Candidate, placement: Placement, measured: Sequence[ComponentBytes], last: Chunk | None
) -> Entry:
    """What a load held and, with the last chunk of a turn long enough to tell, how fast that was."""
    decode = last.decode_tps if last and last.completion_tokens >= _SURE_TOKENS else None
    prefill = last.prefill_tps if last and last.prefilled >= _SURE_PROMPT else None
    conditions = conditions_of(machine, candidate, placement)
    return Entry(conditions, placement.ctx, tuple(measured), decode or 0.0, prefill or 0.0, time.time())


def conditions_of(machine: Machine, candidate: Candidate, placement: Placement) -> str:
    """Everything that speed depends on, as one line; memory depends on the context as well."""
    devices = [f"{device.name} {device.total}" for device in machine.devices] or [machine.cpu_name]
    placed: dict[str, Any] = {**pack(placement), "ctx": None}
    facts = [candidate.quant, candidate.file_bytes, candidate.files[-1:], devices, sorted(placed.items())]
    return json.dumps(facts, sort_keys=True)


# ---- on disk


def read(path: Path, now: float | None = None) -> tuple[Entry, ...]:
    """The entries on disk that still count, oldest first; damaged lines are passed over."""
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    since = (time.time() if now is None else now) - _LIFETIME_S
    return tuple(entry for line in lines if (entry := _entry(line)) is not None and entry.at > since)


def _entry(line: str) -> Entry | None:
    try:
        entry = unpack(Entry, json.loads(line))
        numbers = [entry.ctx, entry.decode_tps, entry.prefill_tps, entry.at]
        numbers += [number for row in entry.measured for number in (row.weights, row.kv, row.compute)]
        return entry if all(math.isfinite(number) and number >= 0 for number in numbers) else None
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def add(path: Path, entry: Entry) -> None:
    """Append one; the file is cut to its newer half when it has grown. A disk that refuses costs only this entry."""
    line = json.dumps(pack(entry)).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _append(path, line)
    except OSError:
        return


def _append(path: Path, line: bytes) -> None:
    """In whole lines, whatever an earlier process has left unfinished."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    if len(lines) < _LINES:
        with path.open("ab+") as file:
            if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                line = b"\n" + line
            file.write(line)
        return
    fresh = path.with_suffix(".new")
    fresh.write_bytes(b"\n".join(lines[-_LINES // 2 :]) + b"\n" + line)
    fresh.replace(path)


# ---- into the next plan


def applied(plan: Plan, entries: Sequence[Entry], wish: Wish) -> Plan:
    """The plan with what was measured here before; where that changes speed or choice, it says so."""
    candidates = tuple(corrected(candidate, plan.machine, entries) for candidate in plan.candidates)
    if candidates == plan.candidates or plan.chosen is None:
        return replace(plan, candidates=candidates)
    chosen = pick(candidates, wish.prefer, asked=wish.quant is not None)
    assert chosen is not None  # no verdict has changed
    taken = candidates[chosen]
    if chosen == plan.chosen and taken.predicted == plan.candidates[chosen].predicted:
        return replace(plan, candidates=candidates)
    return replace(plan, candidates=candidates, chosen=chosen, why=_why(taken))


def _why(taken: Candidate) -> tuple[FromHistory]:
    assert taken.predicted is not None and taken.placement is not None
    return (FromHistory(taken.quant, taken.predicted.decode_tps, taken.placement.ctx),)


def corrected(candidate: Candidate, machine: Machine, entries: Iterable[Entry]) -> Candidate:
    """The candidate with what was measured under the same conditions, if it ever was."""
    placement = candidate.placement
    if placement is None or candidate.verdict is Verdict.NO or machine.source != "probe":
        return candidate
    wanted = conditions_of(machine, candidate, placement)
    same = [entry for entry in entries if entry.conditions == wanted]
    held = [entry.measured for entry in same if entry.ctx == placement.ctx]
    if not same:
        return candidate
    return replace(
        candidate,
        memory=tuple(_measured(row, held[-1]) for row in candidate.memory) if held else candidate.memory,
        predicted=_experienced(candidate.predicted, same),
        confirmed_by=Source.HISTORY if held else candidate.confirmed_by,
    )


def _measured(row: MemoryRow, found: Sequence[ComponentBytes]) -> MemoryRow:
    real = next((item for item in found if item.device == row.device), None)
    return replace(row, weights=real.weights, kv=real.kv, compute=real.compute) if real else row


def _experienced(predicted: Predicted | None, same: Sequence[Entry]) -> Predicted | None:
    if predicted is None:
        return None
    return replace(
        predicted,
        decode_tps=_met(predicted.decode_tps, [entry.decode_tps for entry in same]),
        prefill_tps=_met(predicted.prefill_tps, [entry.prefill_tps for entry in same]),
    )


def _met(predicted: float, measured: Sequence[float]) -> float:
    """The median of the latest measurements; of too few, halfway to it from the prediction (geometric mean)."""
    known = [speed for speed in measured if speed > 0][-_LATEST:]
    if not known:
        return predicted
    middle = statistics.median(known)
    return middle if len(known) >= _ENOUGH else math.sqrt(predicted * middle)
