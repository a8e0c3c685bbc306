"""A Study on a machine, as a Plan: rehearsed where somebody can, corrected by what was measured here before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from models.headers.quantizations import ReadSet
from models.stores.cache import as_on_disk
from runner.planning.choose import Contender, choose
from runner.planning.companions import Drafter, Helpers
from runner.planning.experience import applied, habits_of, learned
from runner.planning.placement import Rehearser
from runner.planning.tuned import kept_for, question_of
from runner.service.drafters import check_heads, drafter_for, hint
from runner.service.uses import checked
from runner.types.drafts import DraftKind
from runner.types.machine import Machine
from runner.types.measurement import Measurement, Tuned
from runner.types.plan import Plan
from runner.types.study import Study
from runner.types.vectors import Purpose
from runner.types.wish import Wish


def planned(
    study: Study,
    machine: Machine,
    wish: Wish,
    measured: Sequence[Measurement],
    rehearse: Callable[[ReadSet], Rehearser | None] = lambda _read: None,
    kept: Sequence[Tuned] = (),
) -> Plan:
    """The plan; `rehearse` says who rehearses a set of weights. UsageError where nothing has the quantization wished.

    `kept`: placements that measurements here preferred. BadFile for a model that is not made for the wish's use; of a
    small model that is to guess, errors as of `drafter_for`. `seconds` is left to the caller.
    """
    wish = checked(study, wish)
    if wish.draft == DraftKind.MTP and wish.use is Purpose.CHAT:
        check_heads(study)
    drafter = _drafter(study, study.drafters, rehearse) if study.drafters else None
    options = [
        Contender(
            weights,
            one.shape,
            rehearse(one.read),
            kept_for(question_of(weights, machine, wish), kept),
            Helpers(drafter, learned(measured, weights.files[-1].name)),
        )
        for one in study.sets
        for weights in [as_on_disk(one.read.weights)]
    ]
    if machine.source == "probe":
        wish = replace(wish, habits=habits_of(measured))
    plan = choose(study.offer.name, options, machine, wish)
    return applied(replace(plan, study=study, hint=hint(plan, study)), measured)


def _drafter(study: Study, drafters: Study, rehearse: Callable[[ReadSet], Rehearser | None]) -> Drafter:
    one = drafter_for(study, drafters)
    return Drafter(drafters.name, as_on_disk(one.read.weights), one.shape, rehearse(one.read))
