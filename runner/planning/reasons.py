"""Finds out why a placement is as it is, and what would change it; `runner.report.sentences` says it. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from runner.cost import roads
from runner.cost.drafts import can_go_back
from runner.cost.kv import ContextSettings, padded
from runner.cost.layout import Layout
from runner.planning import search
from runner.planning.layouts import overdrawn
from runner.planning.problem import Problem
from runner.planning.search import Proposal
from runner.planning.settings import USUAL_KV_TYPE, USUAL_UBATCH
from runner.types.drafts import DraftKind
from runner.types.machine import Kind
from runner.types.placement import USUAL_OFFLOAD_BATCH, SplitMode
from runner.types.reasons import (
    BeyondTrained,
    Lack,
    LayersThatFit,
    LessThanTrained,
    Longer,
    LongerUbatch,
    Lowered,
    Mapped,
    MostOnDevices,
    NoDevices,
    Noted,
    NothingFits,
    OnHost,
    OnOthers,
    Overdrawn,
    Reason,
    Refused,
    SharedLimit,
    ShortOnHost,
    Spilled,
    SplitByTensor,
    Unaccompanied,
    WouldFitWith,
)
from runner.types.wish import Wish

_WORTH_NAMING = 1024  # a shorter context is not worth proposing


def explain(problem: Problem, wish: Wish, proposal: Proposal, refusal: str | None = None) -> tuple[Reason, ...]:
    """The reasons of a candidate, the most important first; `refusal` is llama.cpp's, if it does not take it."""
    return (
        *_refused(problem, wish, proposal, refusal),
        *_by_tensor(problem, proposal),
        *_on_others(proposal),
        *_spilled(problem, wish, proposal),
        *_context(problem, wish, proposal),
        *_lowered(wish, proposal.settings),
        *_prompts(wish, proposal),
        *_unguessed(problem, wish, proposal.settings),
        *notes(problem),
    )


def lack_of_guesses(problem: Problem, settings: ContextSettings) -> Lack | None:
    """Why nobody can guess, not even the text itself: no room in a batch, or no way back."""
    if settings.ubatch <= settings.sequences:
        return Lack.BATCH
    return None if can_go_back(problem.blocks.caches, settings.rollback) else Lack.COPIES


def _unguessed(problem: Problem, wish: Wish, settings: ContextSettings) -> Iterator[Unaccompanied]:
    if wish.draft == DraftKind.OFF or wish.pooling is not None:
        return
    if lack := lack_of_guesses(problem, settings):
        yield Unaccompanied(DraftKind.LOOKUP, "", lack)


def notes(problem: Problem) -> Iterator[Noted]:
    """What was assumed of the machine."""
    return map(Noted, problem.machine.notes)


def nothing_fits(problem: Problem, settings: ContextSettings) -> NothingFits:
    """What is needed and what there is, for a model that no placement can hold."""
    needed = search.weigh(problem, settings, overdrawn(problem, (), 0)).memory[-1].total
    devices, ram = problem.budget()
    own = (device.free for device in problem.machine.devices if not device.shares_host_memory)
    kept = sum(own) + problem.machine.ram_available - devices - ram
    return NothingFits(needed, settings.ctx, devices, ram, needed - devices - ram, kept)


def _refused(problem: Problem, wish: Wish, proposal: Proposal, refusal: str | None) -> Iterator[Reason]:
    if refusal is not None:
        yield Refused(refusal)
    for device, size in proposal.missing.items():
        yield Overdrawn(device, size)
    if wish.gpu_layers is not None and proposal.missing and "CPU" not in proposal.missing:
        yield LayersThatFit(search.most_layers(problem, proposal.settings, proposal.layout.gpu_layers))


def _by_tensor(problem: Problem, proposal: Proposal) -> Iterator[SplitByTensor]:
    layout = proposal.layout
    if layout.is_by_tensor and not proposal.missing:
        other = search.best(replace(problem, split_mode=SplitMode.LAYER), proposal.settings)
        faster = proposal.predicted.decode_tps / other.predicted.decode_tps if other is not None else None
        yield SplitByTensor(len(layout.devices), faster)


def _on_others(proposal: Proposal) -> Iterator[OnOthers]:
    weights = {row.device: row.weights for row in proposal.memory}
    speeds = proposal.speeds
    for one in speeds.visits:
        lent, size = one.device.lent, weights[one.device.id]
        assert lent is not None  # others are not visited
        seconds = roads.decode_seconds(speeds.blocks, (one,), 0)
        yield OnOthers(
            device=one.device.id,
            machine=lent.called,
            layers=one.layers,
            weights=size,
            load_s=roads.load_seconds(one.device, size),
            keeps_weights=lent.keeps_weights,
            round_trips=roads.round_trips(speeds.blocks, one),
            token_s=seconds,
        )


def _spilled(problem: Problem, wish: Wish, proposal: Proposal) -> Iterator[Reason]:
    layout, settings, devices = proposal.layout, proposal.settings, problem.machine.devices
    if wish.gpu_layers and not devices:
        yield NoDevices()
    if layout.is_whole or proposal.missing or not devices:
        return
    on_devices = search.weigh(problem, settings, overdrawn(problem, devices, problem.layers_total))
    yield Spilled(_on_host(problem, layout), on_devices.predicted.decode_tps / proposal.predicted.decode_tps)
    short, smaller = problem.short_of_whole(settings), search.largest_whole(problem, settings)
    if short > 0:
        yield WouldFitWith(short, smaller if _WORTH_NAMING <= smaller < settings.ctx else None)
    if wish.vram_limit is None:
        yield from _shared_limit(problem, settings, short)


def _shared_limit(problem: Problem, settings: ContextSettings, short: int) -> Iterator[SharedLimit]:
    """Where a GPU that shares the memory may not use enough of it, and enough is there."""
    machine = problem.machine
    device, ram = machine.devices[0], machine.ram_total
    if len(machine.devices) > 1 or not device.shares_host_memory or device.total >= ram or short <= 0:
        return
    unlimited = replace(machine, devices=(replace(device, total=ram, free=ram),))
    if replace(problem, machine=unlimited).short_of_whole(settings) <= 0:
        yield SharedLimit(device.total, ram, device.total + short, metal=device.kind is Kind.GPU)


def _on_host(problem: Problem, layout: Layout) -> OnHost:
    return OnHost(
        layers=layout.layers_on_host,
        layers_total=len(layout.layers),
        parts=len(layout.touched),
        parts_total=sum(1 for block in problem.blocks.layers if block.movable),
        experts=problem.blocks.shape.experts > 0,
    )


def _context(problem: Problem, wish: Wish, proposal: Proposal) -> Iterator[Reason]:
    ctx, trained = proposal.settings.ctx, problem.trained
    if ctx > padded(trained):
        yield BeyondTrained(ctx, trained)
    if wish.ctx is not None or ctx >= trained or proposal.missing:
        return
    if proposal.layout.is_whole and wish.pooling is None:
        yield _most_on_devices(problem, proposal)
    else:
        yield LessThanTrained(ctx, trained)


def _most_on_devices(problem: Problem, proposal: Proposal) -> MostOnDevices:
    """What the next power of two that is a quarter more would cost, or the trained length.

    Nothing is chosen by it: that only the best set of devices is polished may tell a little more than it would cost.
    """
    ctx, trained = proposal.settings.ctx, problem.trained
    longer = min(trained, 1 << (ctx + ctx // 4).bit_length())
    other = search.best(problem, replace(proposal.settings, ctx=longer), polished=1)
    if other is None:
        return MostOnDevices(ctx, longer, None)
    cost = max(0.0, 1 - other.predicted.decode_tps / proposal.predicted.decode_tps)
    return MostOnDevices(ctx, longer, Longer(cost, None if other.layout.is_whole else _on_host(problem, other.layout)))


def _lowered(wish: Wish, settings: ContextSettings) -> Iterator[Lowered]:
    if wish.kv_type is None and settings.kv_type != USUAL_KV_TYPE:
        yield Lowered("kv_type", settings.kv_type, USUAL_KV_TYPE)
    if wish.ubatch is None and wish.pooling is None and settings.ubatch < USUAL_UBATCH:
        yield Lowered("ubatch", settings.ubatch, USUAL_UBATCH)


def _prompts(wish: Wish, proposal: Proposal) -> Iterator[LongerUbatch | Mapped | ShortOnHost]:
    """How prompts are read, where that is not as usual."""
    ubatch, offload = proposal.settings.ubatch, proposal.speeds.offload
    if wish.ubatch is None and wish.pooling is None and ubatch > USUAL_UBATCH:
        yield LongerUbatch(ubatch, USUAL_UBATCH)
    if not offload.pinned:
        yield Mapped()
    if offload.offload_batch > USUAL_OFFLOAD_BATCH:
        yield ShortOnHost(offload.offload_batch)
