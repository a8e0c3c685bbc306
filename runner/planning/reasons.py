"""Finds out why a placement is as it is, and what would change it; `runner.report.sentences` says it. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from runner.cost.kv import ContextSettings, padded
from runner.cost.layout import Layout
from runner.planning.search import Proposal, Search
from runner.types.plan import Wish
from runner.types.reasons import (
    BeyondTrained,
    LayersThatFit,
    LessThanTrained,
    Longer,
    Lowered,
    MostOnDevices,
    NoDevices,
    Noted,
    NothingFits,
    OnHost,
    Overdrawn,
    Reason,
    Refused,
    Spilled,
    WouldFitWith,
)

_LEAST_CONTEXT = 1024  # a smaller one is not worth proposing


def explain(search: Search, wish: Wish, proposal: Proposal, refusal: str | None = None) -> tuple[Reason, ...]:
    """The reasons of a candidate, the most important first; `refusal` is llama.cpp's, if it does not take it."""
    return (
        *_refused(search, wish, proposal, refusal),
        *_spilled(search, wish, proposal),
        *_context(search, wish, proposal),
        *_lowered(wish, proposal.settings),
        *notes(search),
    )


def notes(search: Search) -> Iterator[Noted]:
    """What was assumed of the machine."""
    return map(Noted, search.machine.notes)


def nothing_fits(search: Search, settings: ContextSettings) -> NothingFits:
    """What is needed and what there is, for a model that no placement can hold."""
    needed = search.weigh(settings, search.overdrawn((), 0)).memory[-1].total
    devices, ram = search.budget()
    return NothingFits(needed, settings.ctx, devices, ram, short=needed - devices - ram)


def _refused(search: Search, wish: Wish, proposal: Proposal, refusal: str | None) -> Iterator[Reason]:
    if refusal is not None:
        yield Refused(refusal)
    for device, size in proposal.missing.items():
        yield Overdrawn(device, size)
    if wish.gpu_layers is not None and proposal.missing and "CPU" not in proposal.missing:
        yield LayersThatFit(_most_layers(search, proposal))


def _most_layers(search: Search, proposal: Proposal) -> int:
    low, high = 0, proposal.layout.gpu_layers
    while high - low > 1:
        middle = (low + high) // 2
        if search.with_layers(proposal.settings, middle).missing:
            high = middle
        else:
            low = middle
    return low


def _spilled(search: Search, wish: Wish, proposal: Proposal) -> Iterator[Reason]:
    layout, settings, devices = proposal.layout, proposal.settings, search.machine.devices
    if wish.gpu_layers and not devices:
        yield NoDevices()
    if layout.is_whole or proposal.missing or not devices:
        return
    whole = search.weigh(settings, search.overdrawn(devices, len(layout.layers)))
    yield Spilled(_on_host(search, layout), whole.predicted.decode_tps / proposal.predicted.decode_tps)
    short, smaller = search.short_of_whole(settings), search.largest_whole(settings)
    if short > 0:
        yield WouldFitWith(short, smaller if _LEAST_CONTEXT <= smaller < settings.ctx else None)


def _on_host(search: Search, layout: Layout) -> OnHost:
    return OnHost(
        layers=layout.layers_on_host,
        layers_total=len(layout.layers),
        parts=len(layout.touched),
        parts_total=sum(1 for block in search.blocks.layers if block.movable),
        experts=search.blocks.shape.experts > 0,
    )


def _context(search: Search, wish: Wish, proposal: Proposal) -> Iterator[Reason]:
    ctx, trained = proposal.settings.ctx, search.blocks.shape.context_trained
    if ctx > padded(trained):
        yield BeyondTrained(ctx, trained)
    if wish.ctx is not None or ctx >= trained or proposal.missing:
        return
    if proposal.layout.is_whole:
        yield _most_on_devices(search, proposal)
    else:
        yield LessThanTrained(ctx, trained)


def _most_on_devices(search: Search, proposal: Proposal) -> MostOnDevices:
    """What the next power of two that is a quarter more would cost, or the trained length."""
    ctx, trained = proposal.settings.ctx, search.blocks.shape.context_trained
    longer = min(trained, 1 << (ctx + ctx // 4).bit_length())
    other = search.best(replace(proposal.settings, ctx=longer))
    if other is None:
        return MostOnDevices(ctx, longer, None)
    cost = max(0.0, 1 - other.predicted.decode_tps / proposal.predicted.decode_tps)
    return MostOnDevices(ctx, longer, Longer(cost, None if other.layout.is_whole else _on_host(search, other.layout)))


def _lowered(wish: Wish, settings: ContextSettings) -> Iterator[Reason]:
    usual = ContextSettings(settings.ctx)
    if wish.kv_type is None and settings.kv_type != usual.kv_type:
        yield Lowered("kv_type", settings.kv_type, usual.kv_type)
    if wish.ubatch is None and settings.ubatch < usual.ubatch:
        yield Lowered("ubatch", settings.ubatch, usual.ubatch)
