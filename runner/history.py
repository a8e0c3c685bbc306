"""Predicted against measured, kept on disk with its conditions; what was measured here corrects the next plan.

Only a load under the very same conditions counts: the same weights, placed the same way, on the same devices.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.choose import pick
from runner.events import ComponentBytes
from runner.machine import Machine
from runner.plan import Candidate, MemoryRow, Placement, Plan, Predicted, Source, Verdict, Wish
from runner.wire import pack, unpack

_KEPT = 5  # the latest measurements count; older ones had other drivers
_LINES = 500
_SURE_TOKENS = 32  # a shorter answer says little about speed


@dataclass(frozen=True, slots=True)
class Entry:
    """One load: `conditions` names it, `measured` is what llama.cpp held. Speeds in tokens per second, 0 unknown."""

    conditions: str
    measured: tuple[ComponentBytes, ...]
    decode_tps: float = 0.0
    prefill_tps: float = 0.0


def conditions_of(machine: Machine, candidate: Candidate, placement: Placement) -> str:
    """Everything that memory and speed depend on, as one line."""
    devices = [f"{device.name} {device.total}" for device in machine.devices] or [machine.cpu_name]
    placed: dict[str, Any] = pack(placement)
    facts = [candidate.quant, candidate.file_bytes, candidate.files[-1:], devices, sorted(placed.items())]
    return json.dumps(facts, sort_keys=True)


def read(path: Path) -> tuple[Entry, ...]:
    """The entries on disk, oldest first; damaged lines are passed over."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ()
    return tuple(entry for line in lines if (entry := _entry(line)) is not None)


def _entry(line: str) -> Entry | None:
    try:
        return unpack(Entry, json.loads(line))
    except (ValueError, TypeError, AttributeError):
        return None


def add(path: Path, entry: Entry) -> None:
    """Append one; the file is cut to its newer half when it has grown. A disk that refuses costs only this entry."""
    line = json.dumps(pack(entry)) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(line)
        lines = path.read_text("utf-8").splitlines(keepends=True)
        if len(lines) > _LINES:
            fresh = path.with_suffix(".new")
            fresh.write_text("".join(lines[-_LINES // 2 :]), "utf-8")
            fresh.replace(path)
    except OSError:
        return


def worth_keeping(completion_tokens: int) -> bool:
    """Whether an answer was long enough to tell a speed."""
    return completion_tokens >= _SURE_TOKENS


def corrected(candidate: Candidate, machine: Machine, entries: Iterable[Entry]) -> Candidate:
    """The candidate with what was measured under the same conditions, if it ever was."""
    if candidate.placement is None or candidate.verdict is Verdict.NO or machine.source != "probe":
        return candidate
    wanted = conditions_of(machine, candidate, candidate.placement)
    same = [entry for entry in entries if entry.conditions == wanted][-_KEPT:]
    if not same:
        return candidate
    return replace(
        candidate,
        memory=tuple(_measured(row, same[-1].measured) for row in candidate.memory),
        predicted=_experienced(candidate.predicted, same),
        confirmed_by=Source.HISTORY,
    )


def _measured(row: MemoryRow, found: Sequence[ComponentBytes]) -> MemoryRow:
    real = next((item for item in found if item.device == row.device), None)
    return replace(row, weights=real.weights, kv=real.kv, compute=real.compute) if real else row


def _experienced(predicted: Predicted | None, same: Sequence[Entry]) -> Predicted | None:
    if predicted is None:
        return None
    decode = [entry.decode_tps for entry in same if entry.decode_tps]
    prefill = [entry.prefill_tps for entry in same if entry.prefill_tps]
    return replace(
        predicted,
        decode_tps=statistics.median(decode) if decode else predicted.decode_tps,
        prefill_tps=statistics.median(prefill) if prefill else predicted.prefill_tps,
    )


def applied(plan: Plan, entries: Sequence[Entry], wish: Wish) -> Plan:
    """The plan with what was measured here before; where that changes the choice, it says so."""
    candidates = tuple(corrected(candidate, plan.machine, entries) for candidate in plan.candidates)
    if candidates == plan.candidates:
        return plan
    chosen = pick(candidates, wish.prefer, asked=wish.quant is not None)
    if chosen == plan.chosen or chosen is None:
        return replace(plan, candidates=candidates)
    why = f"{candidates[chosen].quant}: after the speeds that were measured here before."
    return replace(plan, candidates=candidates, chosen=chosen, why=why)
