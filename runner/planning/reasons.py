"""Why a placement is as it is, and what would change it: plain sentences. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from runner.cost.kv import ContextSettings
from runner.cost.layout import Layout
from runner.planning.search import Proposal, Search
from runner.types.plan import Wish
from runner.types.units import gib


def explain(search: Search, wish: Wish, proposal: Proposal, refusal: str | None = None) -> tuple[str, ...]:
    """The reasons of a candidate, the most important first."""
    return (
        *_refused(search, wish, proposal, refusal),
        *_spilled(search, wish, proposal),
        *_context(search, wish, proposal),
        *_lowered(wish, proposal.settings),
        *search.machine.notes,
    )


def nothing_fits(search: Search, settings: ContextSettings) -> tuple[str, ...]:
    """What is needed and what there is, for a model that no placement can hold."""
    short = short_of_all(search, settings)
    needs = f"Needs {gib(needed(search, settings))} for weights, {tokens(settings.ctx)} of context and buffers"
    verdict = f": {gib(short)} too little" if short > 0 else ", too scattered to use"
    return f"{needs}; {have(search)}{verdict}.", *search.machine.notes


def needed(search: Search, settings: ContextSettings) -> int:
    """Bytes of the whole model with its KV cache and buffers, wherever they are."""
    return search.weigh(settings, search.overdrawn((), 0)).memory[-1].total


def short_of_all(search: Search, settings: ContextSettings) -> int:
    """Bytes that GPUs and RAM together lack; negative if they have more."""
    return needed(search, settings) - sum(search.budget())


def have(search: Search) -> str:
    """`this machine has 7.0 GiB of GPU memory and 15.0 GiB of RAM to give`."""
    devices, ram = search.budget()
    on_gpu = f"{gib(devices)} of GPU memory and " if devices else ""
    return f"this machine has {on_gpu}{gib(ram)} of RAM to give"


def tokens(count: int) -> str:
    """A context length as people say it: `8k`, `22.75k`; `500` where it is short."""
    return f"{count / 1024:g}k" if count % 256 == 0 else str(count)


def where(search: Search, layout: Layout) -> str:
    """What is not on the devices: `the experts of 4 of 56 layers`, `9 of 81 layers`; empty if nothing.

    Whole layers are counted as llama.cpp does, with the output layer; experts and FFNs among the layers that have any.
    """
    parts = []
    if layout.layers_on_host:
        parts.append(f"{layout.layers_on_host} of {len(layout.layers)} layers")
    if layout.touched:
        kind = "experts" if search.blocks.shape.experts else "FFN"
        total = sum(bool(block.movable) for block in search.blocks.layers)
        parts.append(f"the {kind} of {len(layout.touched)} of {total} layers")
    return " and ".join(parts)


def _refused(search: Search, wish: Wish, proposal: Proposal, refusal: str | None) -> Iterator[str]:
    if refusal is not None:
        yield f"llama.cpp refuses it: {refusal}"
    for device, size in proposal.missing.items():
        name = "RAM" if device == "CPU" else device
        yield f"{name} is overdrawn by {gib(size)} (the margin included)."
    if wish.gpu_layers is not None and proposal.missing and "CPU" not in proposal.missing:
        fitting = _most_layers(search, proposal)
        yield f"--gpu-layers {fitting} would fit." if fitting else "Not one layer would fit there."


def _most_layers(search: Search, proposal: Proposal) -> int:
    low, high = 0, proposal.layout.gpu_layers
    while high - low > 1:
        middle = (low + high) // 2
        if search.with_layers(proposal.settings, middle).missing:
            high = middle
        else:
            low = middle
    return low


def _spilled(search: Search, wish: Wish, proposal: Proposal) -> Iterator[str]:
    layout = proposal.layout
    if wish.gpu_layers and not search.machine.devices:
        yield "There is no GPU to put layers on; --gpu-layers changes nothing."
    if layout.is_whole or proposal.missing or not search.machine.devices:
        return
    left = where(search, layout)
    verb = "is" if left.startswith("the FFN") else "are"
    whole = search.weigh(proposal.settings, search.overdrawn(search.machine.devices, len(layout.layers)))
    slower = whole.predicted.decode_tps / proposal.predicted.decode_tps
    cost = f": about {slower:.1f}x slower than with everything on the GPU" if slower >= 1.05 else ""
    yield f"{left[0].upper()}{left[1:]} {verb} on the CPU{cost}."
    short = search.short_of_whole(proposal.settings)
    smaller = search.largest_whole(proposal.settings)
    if short > 0:
        also = f", or a context of {tokens(smaller)}" if 1024 <= smaller < proposal.settings.ctx else ""
        yield f"{gib(short)} more GPU memory{also} would fit all of it."


def _context(search: Search, wish: Wish, proposal: Proposal) -> Iterator[str]:
    ctx, trained = proposal.settings.ctx, search.blocks.shape.context_trained
    if ctx - 255 > trained:
        yield f"The context of {tokens(ctx)} is longer than the {tokens(trained)} the model was trained on."
    if wish.ctx is not None or ctx >= trained or proposal.missing:
        return
    if not proposal.layout.is_whole:
        yield f"A context of {tokens(ctx)}; the model was trained on {tokens(trained)} (--ctx asks for more)."
        return
    more = min(trained, 1 << (ctx + ctx // 4).bit_length())
    other = search.best(replace(proposal.settings, ctx=more))
    price = f"; {tokens(more)} {_price(search, proposal, other)}" if other else f"; {tokens(more)} would not fit"
    yield f"A context of {tokens(ctx)} is the most with everything on the GPU{price}."


def _price(search: Search, proposal: Proposal, other: Proposal) -> str:
    cost = max(0.0, 1 - other.predicted.decode_tps / proposal.predicted.decode_tps)
    if other.layout.is_whole:
        return f"fits if the GPUs do not pipeline, which slows prompts down, and costs {cost:.0%}"
    return f"would move {where(search, other.layout)} to the CPU and cost {cost:.0%}"


def _lowered(wish: Wish, settings: ContextSettings) -> Iterator[str]:
    usual = ContextSettings(settings.ctx)
    if wish.kv_type is None and settings.kv_type != usual.kv_type:
        yield f"The KV cache is {settings.kv_type}: {usual.kv_type} would not fit."
    if wish.ubatch is None and settings.ubatch < usual.ubatch:
        yield f"The ubatch is {settings.ubatch}: {usual.ubatch} would not fit."
