"""A placement that was measured to be the fastest is planned again, for the same question, while it fits. Pure."""

import json
from collections.abc import Sequence
from dataclasses import replace

from models.weights import WeightSet
from runner.planning.placement import Placed
from runner.planning.rivals import Contest
from runner.types.codec import pack
from runner.types.machine import Machine
from runner.types.measurement import Tuned
from runner.types.reasons import Accompanied, HeadsLeftOut, LongerUbatch, Lowered, Mapped, TunedHere, Unaccompanied
from runner.types.wish import Wish

_OF_COMPANIONS = Accompanied | Unaccompanied | HeadsLeftOut
_RECKONED = Lowered | LongerUbatch | Mapped  # settings whose reason is the measurement, not what the planner reckons


def question_of(weights: WeightSet, machine: Machine, wish: Wish) -> str:
    """What a placement is the answer to, as one line: the weights, this machine, and what was wished.

    Which quantizations were asked for and what a person usually asks do not change which placement is fastest.
    """
    devices = [[device.id, device.name, device.total] for device in machine.devices]
    here = [machine.source, machine.cpu_name, machine.cores, machine.ram_total, devices]
    wished = pack(replace(wish, quant=None, habits=()))
    return json.dumps([weights.quant, weights.bytes, weights.files[-1].name, here, wished], sort_keys=True)


def kept_for(question: str, kept: Sequence[Tuned]) -> Tuned | None:
    """The answer to a question, if there is one."""
    return next((one for one in kept if one.question == question), None)


def as_tuned(contest: Contest, tuned: Tuned, own: Placed | None = None) -> Placed | None:
    """What was tuned as a candidate's placement, with the companion of the planner's `own`; None where it does not fit
    any more.
    """
    rival = contest.rival(tuned.placement)
    if rival is None:
        return None
    placed = contest.placed(rival)
    guesses = (reason for reason in own.reasons if isinstance(reason, _OF_COMPANIONS)) if own else ()
    others = (reason for reason in placed.reasons if not isinstance(reason, _RECKONED))
    reasons = dict.fromkeys((*guesses, *others))
    return replace(placed, reasons=(TunedHere(tuned.at, tuned.gain), *reasons))
