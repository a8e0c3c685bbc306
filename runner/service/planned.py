"""A Study on a machine, as a Plan: rehearsed where somebody can, corrected by what was measured here before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from models.headers.quantizations import ReadSet
from models.stores.cache import as_on_disk
from runner.planning.choose import Contender, choose
from runner.planning.experience import applied, habits_of
from runner.planning.placement import Rehearser
from runner.planning.tuned import kept_for, question_of
from runner.service.uses import checked
from runner.types.machine import Machine
from runner.types.measurement import Measurement, Tuned
from runner.types.plan import Plan
from runner.types.study import Study
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

    `kept`: placements that measurements here preferred. BadFile for a model that is not made for the wish's use.
    `seconds` is left to the caller.
    """
    wish = checked(study, wish)
    options = [
        Contender(weights, one.shape, rehearse(one.read), kept_for(question_of(weights, machine, wish), kept))
        for one in study.sets
        for weights in [as_on_disk(one.read.weights)]
    ]
    if machine.source == "probe":
        wish = replace(wish, habits=habits_of(measured))
    plan = choose(study.offer.name, options, machine, wish)
    return applied(replace(plan, study=study), measured)
