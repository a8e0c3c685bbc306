"""A Study on a machine, as a Plan: rehearsed where somebody can, corrected by what was measured here before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from models.errors import BadFile
from models.headers.kinds import FileKind, kind_of
from models.headers.quantizations import ReadSet
from models.stores.cache import as_on_disk
from runner.planning.choose import Contender, choose
from runner.planning.experience import applied, habits_of
from runner.planning.placement import Rehearser
from runner.planning.tuned import kept_for, question_of
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

    `kept`: placements that measurements here preferred. BadFile for a model that does not answer prompts. `seconds` is
    left to the caller.
    """
    _refuse_unless_it_chats(study)
    options = [
        Contender(weights, one.shape, rehearse(one.read), kept_for(question_of(weights, machine, wish), kept))
        for one in study.sets
        for weights in [as_on_disk(one.read.weights)]
    ]
    if machine.source == "probe":
        wish = replace(wish, habits=habits_of(measured))
    plan = choose(study.offer.name, options, machine, wish)
    return applied(replace(plan, study=study), measured)


def _refuse_unless_it_chats(study: Study) -> None:
    first = study.sets[0].read
    kind = kind_of(first.headers)
    if kind is not FileKind.CHAT:
        raise BadFile(f"{first.weights.files[0].name} is {kind}, not {FileKind.CHAT}.")
