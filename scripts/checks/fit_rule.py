"""llama.cpp's own fit (common/fit.cpp) on our ledger: fill devices to a margin, in order, without a model of speed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from runner.cost.kv import ContextSettings
from runner.cost.layout import HOST, Layout, contiguous
from runner.planning.problem import Problem
from runner.planning.search import Proposal, weigh


def fitted(problem: Problem, settings: ContextSettings) -> Proposal:
    """What `--fit` would do at this context.

    Dense: whole layers from the back, last device first. Experts: first the rest of all layers the same way, then from
    the front layers with their experts, and a part of one more layer on every device.
    """
    if not problem.blocks.shape.experts:
        return weigh(problem, settings, _filled(problem, settings, (), with_experts=True))
    layout = _filled(problem, settings, ())
    if layout.gpu_layers == len(layout.layers):
        layout = _with_full_layers(problem, settings, layout)
    return weigh(problem, settings, layout)


def _with_full_layers(problem: Problem, settings: ContextSettings, layout: Layout) -> Layout:
    full: tuple[int, ...] = ()
    for _ in problem.machine.devices:
        for count in range(len(layout.layers) - sum(full)):
            trial = _filled(problem, settings, (*full, count))
            if not _is_complete(problem, settings, trial):
                break
            layout, best = trial, count
        full = (*full, best)
        layout = next(_with_partial_layer(problem, settings, layout, sum(full)), layout)
    return layout


def _with_partial_layer(problem: Problem, settings: ContextSettings, layout: Layout, layer: int) -> Iterator[Layout]:
    for stay in (("ffn_up_exps", "ffn_gate_exps"), ("ffn_up_exps",)):
        moved = {key: to for key, to in layout.moved.items() if key[0] != layer or key[1] not in stay}
        trial = replace(layout, moved=moved)
        if len(moved) < len(layout.moved) and _is_complete(problem, settings, trial):
            yield trial


def _is_complete(problem: Problem, settings: ContextSettings, layout: Layout) -> bool:
    return layout.gpu_layers == len(layout.layers) and not weigh(problem, settings, layout).missing.keys() - {"CPU"}


def _filled(problem: Problem, settings: ContextSettings, full: Sequence[int], *, with_experts: bool = False) -> Layout:
    """`full` layers on the first devices, then from the back what fits, without experts unless told."""
    total = len(problem.blocks.layers)
    counts = [*full, *[0] * (len(problem.machine.devices) - len(full))]
    for index in reversed(range(max(0, len(full) - 1), len(counts))):
        low, high = 0, total - sum(counts)
        while low < high:
            middle = (low + high + 1) // 2
            trial = [*counts[:index], counts[index] + middle, *counts[index + 1 :]]
            layout = _stripped(problem, trial, own_full=sum(full), with_experts=with_experts)
            if problem.machine.devices[index].id in weigh(problem, settings, layout).missing:
                high = middle - 1
            else:
                low = middle
        counts[index] += low
    return _stripped(problem, counts, own_full=sum(full), with_experts=with_experts)


def _stripped(problem: Problem, counts: Sequence[int], *, own_full: int, with_experts: bool) -> Layout:
    layout = contiguous(problem.machine.devices, counts, len(problem.blocks.layers))
    first = len(layout.layers) - layout.gpu_layers + own_full
    moved = {
        (layer, stem): HOST
        for layer in range(first, len(layout.layers))
        for stem in problem.blocks.layers[layer].movable
        if layout.layers[layer] != HOST and not with_experts
    }
    return replace(layout, moved=moved)
