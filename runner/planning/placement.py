"""From a model, a machine and a wish to a placement with its reasons. Pure but for the rehearsal it is handed.

The idea, in the order of the functions below:
1. Context settings come in the order of preference (`runner.planning.settings`).
2. For the first settings for which any layout fits, take the one that answers the mix of requests
   (`runner.planning.mix`) fastest (`runner.planning.search`), with a longer ubatch where that pays.
3. llama.cpp rehearses it. Where it needs more than our ledger says, that is charged, and steps 1 and 2 are taken again,
   until a placement stands.
4. What stands is put into llama.cpp's terms (`runner.planning.loading`), with its reasons (`runner.planning.reasons`).

Layers by command (`--gpu-layers`) replace step 2 and are kept even where they do not fit: then the verdict is no.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from models.headers.shape import ModelShape
from runner.cost.blocks import blocks_of
from runner.cost.compute_buffers import compute_bytes
from runner.cost.heads import head_bytes, head_rows
from runner.cost.layout import Layout, by_tensor
from runner.cost.ledger import Rehearsed, measured, shortages
from runner.planning import reasons, search, tensor_split
from runner.planning.loading import placement_of
from runner.planning.problem import Problem
from runner.planning.restrictions import limited, shares_of
from runner.planning.search import Proposal
from runner.planning.settings import settings_for_layers, settings_in_order, settings_to_hope_for
from runner.types.drafts import DraftKind
from runner.types.engine import ComponentBytes
from runner.types.exchange import Wait
from runner.types.machine import Machine
from runner.types.placement import Placement, SplitMode
from runner.types.plan import CompanionPlan, MemoryRow, Predicted, Source, Verdict
from runner.types.reasons import OthersLeftOut, Reason
from runner.types.units import MIB
from runner.types.wish import Wish

Rehearser = Callable[[Placement], Rehearsed | None]

MOST_REHEARSALS = 8
_WORTH_OTHERS = 0.9  # of the time, for what fits here as well
_WASTE = 128 * MIB  # that llama.cpp may leave unused of what we charged before it is worth another round


@dataclass(frozen=True, slots=True)
class Placed:
    """The best way to run one set of weights, in the words of a Candidate (runner.types.plan).

    `short_of_all`: bytes that all memory together lacks; `short_of_gpu`: bytes that the devices lack to hold it all.
    Neither is below 0. `alone`: the best way without its companions; None where it has none.
    """

    verdict: Verdict
    placement: Placement | None
    memory: tuple[MemoryRow, ...]
    predicted: Predicted | None
    confirmed_by: Source
    reasons: tuple[Reason, ...] = ()
    short_of_all: int = 0
    short_of_gpu: int = 0
    wait: Wait | None = None
    companions: tuple[CompanionPlan, ...] = ()
    alone: Placed | None = None


def problem_of(shape: ModelShape, machine: Machine, wish: Wish) -> Problem:
    """What has to be placed, and where the wish allows it. UsageError for a wish that makes no sense here."""
    return Problem(
        blocks_of(shape),
        limited(machine, wish),
        wish.margin,
        shares_of(wish),
        split_mode=wish.split_mode,
        prefer=wish.prefer,
        habits=wish.habits,
    )


def place(shape: ModelShape, machine: Machine, wish: Wish, rehearse: Rehearser | None = None) -> Placed:
    """The best placement of `shape` on `machine`. Raises UsageError for a wish that makes no sense here.

    `rehearse` answers None where nobody can tell; at most MOST_REHEARSALS are asked for.
    """
    problem = problem_of(shape, machine, wish)
    if not any(device.lent for device in problem.machine.devices):
        return _placed(problem, wish, rehearse)
    if wish.devices is None and wish.gpu_layers is None and wish.tensor_split is None:
        return _with_others_or_without(shape, machine, wish, rehearse)
    asked = _placed(replace(problem, insists=True), wish, rehearse)
    return asked if asked.verdict is not Verdict.NO else _placed(problem, wish, rehearse)


def _with_others_or_without(shape: ModelShape, machine: Machine, wish: Wish, rehearse: Rehearser | None) -> Placed:
    """On other machines only what does not fit here, unless it is clearly faster there."""
    here = replace(machine, devices=tuple(device for device in machine.devices if not device.lent))
    alone = _placed(problem_of(shape, here, wish), wish, rehearse)
    together = _placed(problem_of(shape, machine, wish), wish, rehearse)
    if together.verdict is Verdict.NO or together.wait is None:
        return alone if alone.verdict is not Verdict.NO else together
    if alone.verdict is Verdict.NO or alone.wait is None:
        return together
    times = together.wait.seconds / alone.wait.seconds
    if times < _WORTH_OTHERS:
        return together
    others = tuple(dict.fromkeys(device.lent.called for device in machine.devices if device.lent))
    return replace(alone, reasons=(*alone.reasons, OthersLeftOut(others, times)))


def _placed(problem: Problem, wish: Wish, rehearse: Rehearser | None) -> Placed:
    tensor_split.check(problem, wish)
    first = _propose(problem, wish)
    if first is None:
        return _hopeless(problem, wish)
    standing = _rehearsed(problem, wish, first, rehearse) if rehearse else Standing(first, Source.FORMULA)
    return placed_as(problem, wish, standing)


# ---- what we propose


def _propose(problem: Problem, wish: Wish) -> Proposal | None:
    """The fastest layout for the first settings that fit; None if none do."""
    if wish.gpu_layers is not None and problem.split_mode is not SplitMode.TENSOR:
        return _commanded(problem, wish, wish.gpu_layers)
    found = (search.best(problem, settings) for settings in settings_in_order(problem, wish))
    fastest = next((proposal for proposal in found if proposal is not None), None)
    if fastest is None:
        return _overdrawn_by_tensor(problem, wish) if wish.split_mode is SplitMode.TENSOR else None
    is_fixed = wish.ubatch is not None or wish.pooling is not None
    return fastest if is_fixed else search.with_longer_ubatches(problem, fastest)


def _overdrawn_by_tensor(problem: Problem, wish: Wish) -> Proposal:
    """Every layer split over all devices by command, though it does not fit."""
    layout = by_tensor(problem.machine.devices, problem.layers_total)
    return search.weigh(problem, settings_to_hope_for(problem, wish), layout)


def _commanded(problem: Problem, wish: Wish, gpu_layers: int) -> Proposal:
    """Exactly `gpu_layers` whole layers on the devices (a negative number: all of them, as in llama.cpp)."""
    total = problem.layers_total
    count = total if gpu_layers < 0 or gpu_layers > total else gpu_layers
    return search.with_layers(problem, settings_for_layers(problem, wish, count), count)


# ---- what llama.cpp says


@dataclass(frozen=True, slots=True)
class Standing:
    """A proposal and who vouches for it; `refusal` is llama.cpp's, if it does not take it.

    `beside`: what llama.cpp says that the context of the model's own heads takes.
    """

    proposal: Proposal
    source: Source
    refusal: str | None = None
    beside: tuple[ComponentBytes, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether it runs."""
        return not self.proposal.missing and self.refusal is None

    @property
    def rank(self) -> tuple[bool, bool, int, float]:
        """Better is larger: fits, everything on devices, context, less time for a request."""
        proposal = self.proposal
        return self.fits, proposal.layout.is_whole, proposal.settings.ctx, -proposal.seconds


def _rehearsed(problem: Problem, wish: Wish, first: Proposal, rehearse: Rehearser) -> Standing:
    """Rehearse proposals until one fits without waste, charging what llama.cpp needs beyond our ledger to the next."""
    proposal: Proposal | None = first
    seen: dict[Placement, Standing] = {}
    while proposal is not None and len(seen) < MOST_REHEARSALS:
        placement = placement_of(problem, proposal, wish)
        said = None if placement in seen else rehearse(placement)
        if _is_unasked(problem, proposal) and placement not in seen and (said is None or said.refusal):
            problem = replace(problem, split_mode=SplitMode.LAYER)
            first = proposal = _propose(problem, wish) or first
            continue
        if said is None:
            break
        standing = seen[placement] = confirmed(problem, proposal, said)
        beyond = _beyond(standing.proposal, proposal)
        if standing.fits and min(beyond.values()) > -_WASTE:
            break
        problem = replace(problem, extra={**problem.extra, **beyond})
        proposal = _propose(problem, wish)
    return max(seen.values(), key=lambda standing: standing.rank, default=Standing(first, Source.FORMULA))


def _is_unasked(problem: Problem, proposal: Proposal) -> bool:
    """Whether llama.cpp has to vouch for it: an experimental mode that nobody asked for."""
    return problem.split_mode is None and proposal.layout.is_by_tensor


def confirmed(problem: Problem, proposal: Proposal, said: Rehearsed) -> Standing:
    """The proposal with llama.cpp's own bytes."""
    memory = measured(proposal.memory, said, proposal.layout, problem.blocks)
    missing = shortages(memory, proposal.layout, problem.machine, problem.margin)
    return Standing(replace(proposal, memory=memory, missing=missing), said.source, said.refusal, said.companion)


def _beyond(real: Proposal, ours: Proposal) -> dict[str, int]:
    """Bytes that llama.cpp takes beyond our ledger, by device; less than 0 where it takes less."""
    return {said.device: said.total - row.total for said, row in zip(real.memory, ours.memory, strict=True)}


# ---- what comes of it


def _hopeless(problem: Problem, wish: Wish) -> Placed:
    """No placement fits: say by how much, for the settings that one would like to have."""
    why = reasons.nothing_fits(problem, settings_to_hope_for(problem, wish))
    found: tuple[Reason, ...] = (why, *reasons.notes(problem))
    return Placed(Verdict.NO, None, (), None, Source.FORMULA, found, short_of_all=max(0, why.short))


def placed_as(problem: Problem, wish: Wish, standing: Standing) -> Placed:
    """What stands, in llama.cpp's terms and with its reasons."""
    proposal = standing.proposal
    return Placed(
        verdict=_verdict(proposal.layout) if standing.fits else Verdict.NO,
        placement=placement_of(problem, proposal, wish),
        memory=proposal.memory,
        predicted=proposal.predicted,
        confirmed_by=standing.source,
        reasons=reasons.explain(problem, wish, proposal, standing.refusal),
        short_of_gpu=_short_of_gpu(problem, proposal),
        wait=proposal.wait,
        companions=tuple(_heads(problem, standing)),
    )


def _heads(problem: Problem, standing: Standing) -> Iterator[CompanionPlan]:
    """The model's own heads, where they are loaded."""
    proposal = standing.proposal
    layout, settings = proposal.layout, proposal.settings
    if settings.heads:
        heads = head_bytes(problem.blocks, layout, settings, compute_bytes(problem.blocks, layout, settings))
        yield CompanionPlan(DraftKind.MTP, head_rows(proposal.memory, layout, heads, standing.beside))


def _short_of_gpu(problem: Problem, proposal: Proposal) -> int:
    if proposal.layout.is_whole or not problem.machine.devices:
        return 0
    return max(0, problem.short_of_whole(proposal.settings))


def _verdict(layout: Layout) -> Verdict:
    if not layout.devices:
        return Verdict.CPU
    return Verdict.GPU if layout.is_whole else Verdict.SPLIT
