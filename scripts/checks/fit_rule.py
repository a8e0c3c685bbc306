"""llama.cpp's own fit (common/fit.cpp) on our ledger: fill devices to a margin, in order, without a model of speed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from runner.cost.kv import ContextSettings
from runner.cost.layout import HOST, Layout, contiguous
from runner.planning.search import Proposal, Search


def fitted(search: Search, settings: ContextSettings) -> Proposal:
    """What `--fit` would do at this context.

    Dense: whole layers from the back, last device first. Experts: first the rest of all layers the same way, then from
    the front layers with their experts, and a part of one more layer on every device.
    """
    if not search.blocks.shape.experts:
        return search.weigh(settings, _filled(search, settings, (), with_experts=True))
    layout = _filled(search, settings, ())
    if layout.gpu_layers == len(layout.layers):
        layout = _with_full_layers(search, settings, layout)
    return search.weigh(settings, layout)


def _with_full_layers(search: Search, settings: ContextSettings, layout: Layout) -> Layout:
    full: tuple[int, ...] = ()
    for _ in search.machine.devices:
        for count in range(len(layout.layers) - sum(full)):
            trial = _filled(search, settings, (*full, count))
            if not _is_complete(search, settings, trial):
                break
            layout, best = trial, count
        full = (*full, best)
        layout = next(_with_partial_layer(search, settings, layout, sum(full)), layout)
    return layout


def _with_partial_layer(search: Search, settings: ContextSettings, layout: Layout, layer: int) -> Iterator[Layout]:
    for stay in (("ffn_up_exps", "ffn_gate_exps"), ("ffn_up_exps",)):
        moved = {key: to for key, to in layout.moved.items() if key[0] != layer or key[1] not in stay}
        trial = replace(layout, moved=moved)
        if len(moved) < len(layout.moved) and _is_complete(search, settings, trial):
            yield trial


def _is_complete(search: Search, settings: ContextSettings, layout: Layout) -> bool:
    return layout.gpu_layers == len(layout.layers) and not search.weigh(settings, layout).missing.keys() - {"CPU"}


def _filled(search: Search, settings: ContextSettings, full: Sequence[int], *, with_experts: bool = False) -> Layout:
    """`full` layers on the first devices, then from the back what fits, without experts unless told."""
    total = len(search.blocks.layers)
    counts = [*full, *[0] * (len(search.machine.devices) - len(full))]
    for index in reversed(range(max(0, len(full) - 1), len(counts))):
        low, high = 0, total - sum(counts)
        while low < high:
            middle = (low + high + 1) // 2
            trial = [*counts[:index], counts[index] + middle, *counts[index + 1 :]]
            layout = _stripped(search, trial, own_full=sum(full), with_experts=with_experts)
            if search.machine.devices[index].id in search.weigh(settings, layout).missing:
                high = middle - 1
            else:
                low = middle
        counts[index] += low
    return _stripped(search, counts, own_full=sum(full), with_experts=with_experts)


def _stripped(search: Search, counts: Sequence[int], *, own_full: int, with_experts: bool) -> Layout:
    layout = contiguous(search.machine.devices, counts, len(search.blocks.layers))
    first = len(layout.layers) - layout.gpu_layers + own_full
    moved = {
        (layer, stem): HOST
        for layer in range(first, len(layout.layers))
        for stem in search.blocks.layers[layer].movable
        if layout.layers[layer] != HOST and not with_experts
    }
    return replace(layout, moved=moved)
