"""What the planner's tests share: shapes of real geometries, machines of given sizes, and llama.cpp's own fit rule."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

from models.gguf import parse
from models.shape import ModelShape, shape_of
from runner.kv import Settings
from runner.layout import HOST, Layout, blocks_of, contiguous
from runner.machine import Device, Kind, Machine
from runner.plan import Wish
from runner.search import Proposal, Search
from runner.units import GIB, MIB
from scripts.geometries import MODELS
from scripts.make_headers import entries, header_bytes, metadata


@cache
def shape(model: str, quant: str = "Q4_K_M") -> ModelShape:
    """The shape of a well-known model, from a header like the published one."""
    geometry = MODELS[model]
    return shape_of([parse(header_bytes(metadata(geometry, quant, "none"), entries(geometry, quant)))])


def gpu(gib: float, gbps: float = 1000, index: int = 0, memory_type: str = "GDDR6X") -> Device:
    """A CUDA device with all its memory free."""
    size = int(gib * GIB)
    return Device(
        id=f"CUDA{index}",
        kind=Kind.GPU,
        name=f"card {index}",
        total=size,
        free=size,
        bandwidth=gbps * 1e9,
        overhead=330 * MIB,
        memory_type=memory_type,
        has_host_buffer=True,
    )


def machine(*devices: Device, ram: float = 128, ram_gbps: float = 60, cores: int = 16) -> Machine:
    """A named machine; `ram` in GiB, all of it available."""
    size = int(ram * GIB)
    return Machine("named", devices, size, size, ram_gbps * 1e9, cores)


def a100(index: int = 0) -> Device:
    """An A100 SXM with 80 GB."""
    return gpu(80, 2039, index, "HBM2e")


def h100(index: int = 0) -> Device:
    """An H100 SXM with 80 GB."""
    return gpu(80, 3350, index, "HBM3")


def search_on(model: ModelShape, there: Machine, wish: Wish | None = None) -> Search:
    """The search that `place` would start."""
    return Search(blocks_of(model), there, wish.margin if wish else None)


# ---- llama.cpp's fit (common/fit.cpp): fill devices to a margin, in their order, without a model of speed


def fitted(search: Search, settings: Settings) -> Proposal:
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


def _with_full_layers(search: Search, settings: Settings, layout: Layout) -> Layout:
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


def _with_partial_layer(search: Search, settings: Settings, layout: Layout, layer: int) -> Iterator[Layout]:
    for stay in (("ffn_up_exps", "ffn_gate_exps"), ("ffn_up_exps",)):
        moved = {key: to for key, to in layout.moved.items() if key[0] != layer or key[1] not in stay}
        trial = replace(layout, moved=moved)
        if len(moved) < len(layout.moved) and _is_complete(search, settings, trial):
            yield trial


def _is_complete(search: Search, settings: Settings, layout: Layout) -> bool:
    return layout.gpu_layers == len(layout.layers) and not search.weigh(settings, layout).missing.keys() - {"CPU"}


def _filled(search: Search, settings: Settings, full: Sequence[int], *, with_experts: bool = False) -> Layout:
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
