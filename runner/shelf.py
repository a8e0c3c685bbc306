"""What the picker shows: the weights that are here, and what the catalog would run well here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from models import catalog
from models.errors import LocalrunError
from models.weights import Offer
from runner import advice
from runner.machine import Machine
from runner.plan import Plan, Verdict

_PATIENCE_S = 0.7  # after which the remaining rows come without a plan


@dataclass(frozen=True, slots=True)
class Choice:
    """A row of the picker: a model that is here, or one of the catalog that would run well.

    `name` is what to type. `quant`, `verdict` and `decode_tps` are None where nobody has looked.
    """

    name: str
    quant: str | None
    bytes: int | None
    is_here: bool
    verdict: Verdict | None
    decode_tps: float | None
    note: str


def on_shelf(offers: Iterable[Offer], plan_of: Callable[[Offer], Plan], patience: float = _PATIENCE_S) -> list[Choice]:
    """A row for each quantization that is here: those that run first, then the larger."""
    deadline = time.monotonic() + patience
    rows: list[Choice] = []
    for offer in _by_name(offers):
        try:
            plan = plan_of(offer) if time.monotonic() < deadline else None
        except LocalrunError as error:
            rows.append(Choice(offer.name, None, None, True, Verdict.NO, None, str(error)))
        else:
            rows += _planned(offer, plan) if plan else _unplanned(offer)
    return sorted(rows, key=lambda row: (row.verdict is Verdict.NO, -(row.bytes or 0)))


def _by_name(offers: Iterable[Offer]) -> Sequence[Offer]:
    """Offers by what to type for them: copies of one catalog entry are one."""
    found: dict[str, Offer] = {}
    for offer in offers:
        if offer.sets:
            entry = _entry(offer)
            name = entry.name if entry else offer.name
            sofar = found.get(name)
            found[name] = replace(offer, name=name, sets=(*(sofar.sets if sofar else ()), *offer.sets))
    return tuple(found.values())


def _entry(offer: Offer) -> catalog.Entry | None:
    """The catalog's entry for what is certainly the same: the same repository, or the package it names."""
    if offer.origin == "package":
        return catalog.lookup(offer.name)
    return advice.entry_of_repository(offer.name)


def _planned(offer: Offer, plan: Plan) -> Iterator[Choice]:
    for one in plan.candidates:
        speed = one.predicted.decode_tps if one.predicted and one.verdict is not Verdict.NO else None
        name = _typed(offer, one.quant)
        yield Choice(name, one.quant, one.file_bytes, True, one.verdict, speed, offer.origin)


def _unplanned(offer: Offer) -> Iterator[Choice]:
    for one in offer.sets:
        yield Choice(_typed(offer, one.quant), one.quant or None, one.bytes, True, None, None, offer.origin)


def _typed(offer: Offer, quant: str) -> str:
    return f"{offer.name}:{quant}" if len(offer.sets) > 1 and quant else offer.name


def from_catalog(machine: Machine, here: Iterable[str]) -> list[Choice]:
    """What would run well and is not here, largest first."""
    known = {name.partition(":")[0] for name in here}
    estimates = [advice.estimate(entry, machine) for entry in catalog.entries() if entry.name not in known]
    good = sorted((one for one in estimates if one.runs_well), key=lambda one: -one.entry.parameters)
    return [
        Choice(one.entry.name, None, one.bytes, False, one.verdict, one.decode_tps, one.entry.title) for one in good
    ]
