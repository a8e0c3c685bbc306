"""What the picker shows: the weights that are here, and what the catalog would run well here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from models.entry import Entry
from models.errors import LocalrunError
from models.files import typed_name
from models.names import catalog
from models.stores import local
from models.stores.header_cache import HeaderCache
from models.weights import Offer, WeightSet
from runner.planning import alternatives
from runner.service.planned import planned
from runner.service.studies import Studies
from runner.storage import history, listings, tuned
from runner.storage.paths import Paths
from runner.types.machine import Machine
from runner.types.plan import Plan, Verdict
from runner.types.service import Choice
from runner.types.wish import Wish

_PATIENCE_S = 0.7


def choices(machine: Machine, studies: Studies, paths: Paths) -> list[Choice]:
    """What is here, then what the catalog would run well on this machine.

    Planned without rehearsals: quick, and exact enough for a list.
    """
    measured, kept = history.read(paths.history), tuned.read(paths.tuned)
    headers, offers = HeaderCache(paths.headers), listings.recall(paths.listings)

    def plan_of(offer: Offer) -> Plan:
        return planned(studies.read(offer, offer.name), machine, Wish(), measured, kept=kept)

    def catalog_plan(entry: Entry) -> Plan | None:
        """From headers that were read before; None where some would have to be fetched."""
        offer = offers.get(entry.name)
        files = [file for one in offer.sets for file in one.files] if offer else []
        return plan_of(offer) if offer and all(headers.get(file.sha256) for file in files) else None

    here = from_disk(local.find_local(), plan_of)
    return [*here, *from_catalog(machine, {choice.name for choice in here}, catalog_plan)]


def here() -> list[Choice]:
    """The same without a plan, and at once: every quantization that is here, in the order of the stores."""
    return [_unplanned(offer, one) for offer in _by_name(local.find_local()) for one in offer.sets]


def offers_here() -> list[Offer]:
    """The same as offers of one quantization each, called what to type for it."""
    return [
        replace(offer, name=typed_name(offer, one), sets=(one,))
        for offer in _by_name(local.find_local())
        for one in offer.sets
    ]


def from_disk(offers: Iterable[Offer], plan_of: Callable[[Offer], Plan], patience: float = _PATIENCE_S) -> list[Choice]:
    """A row for each quantization that is here: those that run first, then the larger.

    `plan_of` plans an offer of a single set. After `patience` seconds the rest comes without a plan.
    """
    deadline = time.monotonic() + patience
    rows = [
        _planned(offer, one, plan_of) if time.monotonic() < deadline else _unplanned(offer, one)
        for offer in _by_name(offers)
        for one in offer.sets
    ]
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


def _entry(offer: Offer) -> Entry | None:
    """The catalog's entry for what is certainly the same: the same repository, or the package it names."""
    if offer.origin == "package":
        return catalog.lookup(offer.name)
    return catalog.of_repository(offer.name)


def _planned(offer: Offer, weights: WeightSet, plan_of: Callable[[Offer], Plan]) -> Choice:
    row = _unplanned(offer, weights)
    try:
        (one,) = plan_of(replace(offer, sets=(weights,))).candidates
    except LocalrunError as error:
        return replace(row, verdict=Verdict.NO, note=str(error))
    speed = one.predicted.decode_tps if one.predicted and one.verdict is not Verdict.NO else None
    return replace(
        row,
        name=typed_name(offer, replace(weights, quant=one.quant)),
        quant=one.quant,
        verdict=one.verdict,
        decode_tps=speed,
    )


def _unplanned(offer: Offer, weights: WeightSet) -> Choice:
    name, quant = typed_name(offer, weights), weights.quant or None
    return Choice(name, quant, weights.bytes, True, None, None, offer.origin)


def from_catalog(
    machine: Machine,
    here: Iterable[str],
    plan_of: Callable[[Entry], Plan | None] = lambda _entry: None,
    patience: float = _PATIENCE_S,
) -> list[Choice]:
    """What would run well and is not here, largest first.

    `plan_of` plans an entry whose headers are known; for the others, and after `patience` seconds, an estimate stands.
    """
    deadline = time.monotonic() + patience
    known = {name.partition(":")[0] for name in here}
    rows = []
    for entry in sorted(catalog.entries(), key=lambda entry: -entry.parameters):
        if entry.name not in known and not entry.embeds:
            plan = plan_of(entry) if time.monotonic() < deadline else None
            rows.append(_from_plan(entry, plan) if plan else _from_estimate(entry, machine))
    return [row for row in rows if row is not None]


def _from_plan(entry: Entry, plan: Plan) -> Choice | None:
    """What the plan would take, if it runs well."""
    one = plan.candidates[plan.chosen] if plan.chosen is not None else None
    if one is None or one.predicted is None or one.predicted.decode_tps < alternatives.WELL_TPS:
        return None
    return Choice(entry.name, one.quant, one.file_bytes, False, one.verdict, one.predicted.decode_tps, entry.title)


def _from_estimate(entry: Entry, machine: Machine) -> Choice | None:
    one = alternatives.estimate(entry, machine)
    if not one.runs_well:
        return None
    return Choice(entry.name, None, one.bytes, False, one.verdict, one.decode_tps, entry.title)
