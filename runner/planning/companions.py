"""A placement with somebody who guesses beside it: a small model, or the model's own heads. Pure but for rehearsals.

A small model is placed by itself, whole, on a device or on the CPU, with the context that the large one would have had
alone. What it takes is taken from the machine, and the large one is placed on the rest. Of these ways the one with most
tokens a second is taken.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from models.headers.shape import ModelShape
from models.weights import WeightSet
from runner.cost.blocks import blocks_of
from runner.cost.guesses import expected, head_share, placed_growth
from runner.cost.kv import ContextSettings
from runner.cost.laid_out import laid_out
from runner.cost.layout import contiguous
from runner.planning import search
from runner.planning.beside import both, less, within
from runner.planning.loading import placement_of
from runner.planning.placement import Placed, Rehearser, Standing, confirmed, place, problem_of
from runner.planning.problem import Problem
from runner.planning.reasons import lack_of_guesses
from runner.planning.settings import settings_to_hope_for
from runner.types.drafts import DraftKind
from runner.types.machine import Device, Machine
from runner.types.placement import Companion, Placement
from runner.types.plan import CompanionPlan, Guesses, Source, Verdict
from runner.types.reasons import Accompanied, HeadsLeftOut, Lack, Unaccompanied
from runner.types.wish import Wish

OWN_HEADS = "mtp"  # in the place of a file's name
_WORTH_IT = 1.1  # times as fast, for what nobody has asked for


@dataclass(frozen=True, slots=True)
class Drafter:
    """A small model that is to guess: what was typed for it, its files, its shape, who rehearses it (None: nobody)."""

    name: str
    weights: WeightSet
    shape: ModelShape
    rehearse: Rehearser | None = None

    @property
    def file(self) -> str:
        """The first of its files."""
        return self.weights.files[0].name


@dataclass(frozen=True, slots=True)
class Helpers:
    """Who may guess for a model: a small one (None: none is named), and what guesses brought it here before.

    `measured` has an entry for each file that has guessed, and for OWN_HEADS.
    """

    drafter: Drafter | None = None
    measured: Mapping[str, Guesses] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Target:
    """The large model and where it may go."""

    shape: ModelShape
    machine: Machine
    wish: Wish
    rehearse: Rehearser | None

    def place(self, machine: Machine | None = None) -> Placed:
        """By itself, on what is left of the machine."""
        return place(self.shape, machine or self.machine, self.wish, self.rehearse)

    @property
    def cannot_guess(self) -> bool:
        """Whether nobody can, whatever the memory."""
        problem = problem_of(self.shape, self.machine, self.wish)
        return lack_of_guesses(problem, settings_to_hope_for(problem, self.wish)) is not None

    @property
    def limited(self) -> Machine:
        """The machine within the limits of the wish, which split the large model alone."""
        return within(self.machine, self.wish)

    def alone(self) -> Placed:
        """As if nobody but the text itself was to guess."""
        return replace(self, wish=replace(self.wish, draft=DraftKind.LOOKUP)).place()


def accompanied(
    shape: ModelShape, machine: Machine, wish: Wish, rehearse: Rehearser | None, helpers: Helpers
) -> Placed:
    """The best placement with the companion that is wished, or without one and a reason why; errors as of `place`."""
    target = _Target(shape, machine, wish, rehearse)
    if not may_be_accompanied(shape, wish, helpers):
        return target.place()
    if wish.pooling is None and target.cannot_guess:
        return target.alone()  # whose reasons say so
    if wish.draft == DraftKind.MTP:
        return _with_heads(target, helpers)
    if helpers.drafter is not None:
        return _with_drafter(target, helpers.drafter, helpers.measured)
    return _with_heads_where_free(target, helpers)


def may_be_accompanied(shape: ModelShape, wish: Wish, helpers: Helpers) -> bool:
    """Whether a companion is asked for, or the model's own heads may be taken unasked."""
    has_heads = wish.draft is None and wish.pooling is None and bool(shape.heads)
    return has_heads or wish.draft == DraftKind.MTP or helpers.drafter is not None


# ---- the model's own heads


def _with_heads(target: _Target, helpers: Helpers) -> Placed:
    alone = target.alone()
    lack = Lack.HEADS if not target.shape.heads else _lack(target, alone)
    if lack is not None or alone.verdict is Verdict.NO:
        return _without(alone, Unaccompanied(DraftKind.MTP, "", lack) if lack else None)
    together = target.place()
    if together.verdict is Verdict.NO or together.placement is None or together.predicted is None:
        return _without(alone, Unaccompanied(DraftKind.MTP, "", Lack.ROOM))
    return _told(together, alone, _brought_by_heads(target, together.placement, helpers))


def _with_heads_where_free(target: _Target, helpers: Helpers) -> Placed:
    """With the heads that nobody has asked for, where they pay and cost nothing that one would have had without."""
    alone = target.place()
    if alone.verdict is Verdict.NO or alone.placement is None:
        return alone
    if lack := _loses(target, alone):
        return _without(alone, Unaccompanied(DraftKind.MTP, "", lack))
    brings = _brought_by_heads(target, alone.placement, helpers)
    if brings.gain < _WORTH_IT:
        return _without(alone, Unaccompanied(DraftKind.MTP, "", Lack.GAIN))
    together = replace(target, wish=replace(target.wish, draft=DraftKind.MTP)).place()
    if _costs_nothing(together, alone):
        return _told(together, alone, brings)
    if together.verdict is Verdict.NO or together.placement is None:
        return _without(alone, Unaccompanied(DraftKind.MTP, "", Lack.ROOM))
    lost = max(0, alone.placement.ctx - together.placement.ctx)
    return _without(alone, HeadsLeftOut(together.companions[0].bytes, brings.gain, lost))


def _costs_nothing(together: Placed, alone: Placed) -> bool:
    """Whether everything but the heads is as it would be without them."""
    if together.verdict is not alone.verdict or together.placement is None or alone.placement is None:
        return False
    one, other = together.placement, alone.placement
    return (one.ctx, one.kv_type, one.ubatch) == (other.ctx, other.kv_type, other.ubatch)


def _loses(target: _Target, alone: Placed) -> Lack | None:
    """Where heads gain nothing by what was published, or too little to be taken unasked."""
    if lack := _lack(target, alone):
        return lack
    if target.shape.experts:
        return Lack.EXPERTS
    return None if alone.verdict is Verdict.GPU else Lack.HOST


def _brought_by_heads(target: _Target, placement: Placement, helpers: Helpers) -> Guesses:
    if measured := helpers.measured.get(OWN_HEADS):
        return measured
    return expected(DraftKind.MTP, _growth(target, placement), head_share(blocks_of(target.shape)))


# ---- a small model


def _with_drafter(target: _Target, drafter: Drafter, measured: Mapping[str, Guesses]) -> Placed:
    alone = target.alone()
    if alone.verdict is Verdict.NO or alone.placement is None:
        return alone
    machine = target.limited
    found = []
    for home in _homes(machine):
        small = _Small(drafter, machine, target.wish, home)
        if placed := _pair(target, small, alone.placement):
            found.append((placed, _brought(target, small, placed, measured.get(drafter.file))))
    if not found:
        return _without(alone, Unaccompanied(DraftKind.MODEL, drafter.name, Lack.ROOM))
    pair, brings = max(found, key=_tps)
    return _told(pair, alone, brings)


def _tps(found: tuple[Placed, Guesses]) -> float:
    placed, brings = found
    assert placed.predicted is not None  # it runs
    return placed.predicted.decode_tps * brings.gain


def _homes(machine: Machine) -> Iterator[Device | None]:
    """Where a small model may go: the devices of this computer, of equal ones the first, and the CPU."""
    found: dict[Device, Device] = {}
    for device in sorted(machine.devices, key=lambda device: -(device.bandwidth or 0)):
        if device.lent is None:
            found.setdefault(device.nameless, device)
    yield from (*found.values(), None)


@dataclass(frozen=True, slots=True)
class _Small:
    """A small model at its place, a device or (None) the CPU."""

    drafter: Drafter
    machine: Machine
    wish: Wish
    home: Device | None

    def placed(self, beside: Placement) -> tuple[Placement, Standing] | None:
        """With the context of what it guesses for; None where there is no room for it."""
        devices = () if self.home is None else (self.home,)
        problem = Problem(blocks_of(self.drafter.shape), self.machine, self.wish.margin)
        count = min(beside.sequences, beside.ubatch)  # as the engine has them (runner.engine.context)
        settings = ContextSettings(beside.ctx, beside.kv_type, beside.ubatch, count, count)
        counts = (problem.layers_total,) if devices else ()
        proposal = search.weigh(problem, settings, contiguous(devices, counts, problem.layers_total))
        placement = placement_of(problem, proposal, self.wish)
        said = self.drafter.rehearse(placement) if self.drafter.rehearse else None
        standing = confirmed(problem, proposal, said) if said else Standing(proposal, Source.FORMULA)
        return (placement, standing) if standing.fits else None


def _pair(target: _Target, small: _Small, alone: Placement) -> Placed | None:
    """The small model first, the large one on the rest; None where one of them does not fit."""
    first = small.placed(alone)
    if first is None:
        return None
    large = target.place(less(small.machine, first[1].proposal.memory))
    if large.verdict is Verdict.NO or large.placement is None:
        return None
    second = small.placed(large.placement)  # whose context may have become shorter
    if second is None:
        return None
    placement, standing = second
    rows = standing.proposal.memory
    drafter = small.drafter
    return replace(
        large,
        placement=replace(large.placement, companion=Companion(DraftKind.MODEL, drafter.file, placement)),
        memory=both(small.machine, large.memory, rows),
        confirmed_by=Source.FORMULA if Source.FORMULA in (large.confirmed_by, standing.source) else large.confirmed_by,
        companions=(
            CompanionPlan(
                DraftKind.MODEL,
                tuple(row for row in rows if row.total),
                drafter.name,
                tuple(file.name for file in drafter.weights.files),
                drafter.weights.missing_bytes,
            ),
        ),
    )


def _brought(target: _Target, small: _Small, pair: Placed, measured: Guesses | None) -> Guesses:
    assert pair.placement is not None  # it runs
    assert pair.placement.companion is not None
    assert pair.placement.companion.placement is not None
    assert pair.predicted is not None
    if measured is not None:
        return measured
    there = laid_out(small.drafter.shape, small.machine, pair.placement.companion.placement).speeds()
    guess = pair.predicted.decode_tps / there.decode_tps(pair.predicted.at_depth)
    return expected(DraftKind.MODEL, _growth(target, pair.placement), guess)


# ---- what is said


def _lack(target: _Target, alone: Placed) -> Lack | None:
    """What keeps a model's own heads away whatever the memory: several sequences, several devices, one far away."""
    if (target.wish.sequences or 1) > 1:
        return Lack.SEQUENCES
    used = alone.placement.devices if alone.placement is not None else ()
    is_far = any(device.lent is not None and device.id in used for device in target.machine.devices)
    return Lack.DEVICES if len(used) > 1 or is_far else None


def _without(alone: Placed, why: Unaccompanied | HeadsLeftOut | None) -> Placed:
    return replace(alone, reasons=(*alone.reasons, *([why] if why else [])))


def _growth(target: _Target, placement: Placement) -> float:
    return placed_growth(target.shape, target.limited, placement)


def _told(together: Placed, alone: Placed, brings: Guesses) -> Placed:
    """With what the companion is expected to bring, and what it costs beside bytes."""
    assert together.placement is not None
    assert alone.placement is not None
    (companion,) = together.companions
    said = Accompanied(
        kind=companion.kind,
        name=companion.name,
        devices=tuple(row.device for row in companion.memory if row.weights and row.device != "CPU") or ("CPU",),
        bytes=companion.bytes,
        acceptance=brings.acceptance,
        gain=brings.gain,
        guessed=brings.guessed,
        ctx=max(0, alone.placement.ctx - together.placement.ctx),
        is_split=alone.verdict is Verdict.GPU and together.verdict is not Verdict.GPU,
    )
    predicted = together.predicted and replace(together.predicted, guesses=brings)
    return replace(together, predicted=predicted, reasons=(said, *together.reasons), alone=alone)
