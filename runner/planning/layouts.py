"""The ways to lay a model out on a machine. Pure.

For given context settings there are five kinds of layout, tried on every sensible set of devices:
- whole: every layer on the devices, the fastest filled first, equal ones alike; pipelined, or with more room one
  after another;
- by layers: as many whole layers as fit, the rest with their KV cache on the host;
- apart: the cores and KV caches of all layers on the devices (of as many as fit), and of their movable parts, which are
  dense FFNs or routed experts, what there is room for; the rest on another device with room, or on the host;
- by tensor: a slice of every layer on each of several equal devices (runner.planning.tensor_split);
- the host alone.
Where experts can be moved they leave before any KV cache does, so a mixture of experts is never cut by layers.
Which layout is best is the search's business (runner.planning.search), which also checks every one against the ledger.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from runner.cost.blocks import Block
from runner.cost.kv import ContextSettings
from runner.cost.layout import HOST, Layout, contiguous
from runner.planning.packing import apportion, fill, fill_evenly, fill_front, fill_partly
from runner.planning.problem import Problem, even
from runner.planning.tensor_split import layouts_by_tensor
from runner.types.machine import Device
from runner.types.placement import SplitMode
from runner.types.units import MIB

_SLACK = 4 * MIB  # that compute buffers may be smaller than the template's: the ledger has the last word


def layouts(problem: Problem, settings: ContextSettings) -> Iterator[Layout]:
    """All layouts worth weighing."""
    for devices in problem.device_sets():
        yield from layouts_by_tensor(problem, devices)
    if problem.split_mode is not SplitMode.TENSOR:
        yield from _of_undivided_layers(problem, settings)


def _of_undivided_layers(problem: Problem, settings: ContextSettings) -> Iterator[Layout]:
    for devices in problem.device_sets():
        whole = [*on_devices(problem, settings, devices), *_sequential(problem, settings, devices)]
        yield from whole
        if whole:
            continue
        if not problem.blocks.shape.experts:
            yield _by_layers(problem, settings, devices)
        yield from _apart(problem, settings, devices)
    if not problem.insists:
        yield contiguous((), (), problem.layers_total)


# ---- whole


def on_devices(
    problem: Problem, settings: ContextSettings, devices: tuple[Device, ...], count: int | None = None
) -> Iterator[Layout]:
    """All layers (or the last `count`) on the devices, if there is room."""
    total = problem.layers_total
    if problem.split_mode is SplitMode.TENSOR:
        return layouts_by_tensor(problem, devices)
    if count is None or count == total:
        return _filled(problem, settings, even(devices, total), total)
    return _filled(problem, settings, _with_a_layer_on_host(devices, total), count)


def _sequential(problem: Problem, settings: ContextSettings, devices: tuple[Device, ...]) -> Iterator[Layout]:
    """All layers on several devices that do not pipeline."""
    if len(devices) == 1:
        return
    total = problem.layers_total
    for layout in _filled(problem, settings, replace(even(devices, total), sequential=True), total):
        yield replace(layout, sequential=True)


def _filled(problem: Problem, settings: ContextSettings, template: Layout, count: int) -> Iterator[Layout]:
    """The last `count` layers: equal devices filled alike, and as much as possible on the last ones."""
    devices, total = template.devices, problem.layers_total
    sizes, room = problem.sizes(settings)[total - count :], problem.room(settings, template)
    full = fill(sizes, room, problem.shares)
    if sum(full) < count:
        return
    if problem.shares is None:
        yield contiguous(devices, fill_evenly(sizes, room, _ranks(devices)), total)
    yield contiguous(devices, full, total)


def overdrawn(problem: Problem, devices: tuple[Device, ...], count: int) -> Layout:
    """The last `count` layers on the devices in proportion to their free memory, though they do not fit."""
    shares = problem.shares or [max(1, device.free) for device in devices]
    counts = apportion(count, shares) if devices else ()
    return contiguous(devices, counts, problem.layers_total)


# ---- by layers


def _by_layers(problem: Problem, settings: ContextSettings, devices: tuple[Device, ...]) -> Layout:
    total = problem.layers_total
    room = problem.room(settings, _with_a_layer_on_host(devices, total))
    return contiguous(devices, fill(problem.sizes(settings), room, problem.shares), total)


# ---- apart


def _apart(problem: Problem, settings: ContextSettings, devices: tuple[Device, ...]) -> Iterator[Layout]:
    total, sizes, shares = problem.layers_total, problem.sizes(settings), problem.shares
    movable = [block.movable_bytes for block in problem.blocks.layers]
    cores = [size - more for size, more in zip(sizes, movable, strict=True)]
    room = problem.room(settings, _with_a_part_on_host(even(devices, total)))
    yield from arranged(problem, settings, devices, fill_partly(cores, movable, room, shares))
    if len(devices) == 1 or shares is not None:
        return
    yield from arranged(problem, settings, devices, fill_front(sizes, room))
    if sum(fill(cores, room)) == total:
        yield from arranged(problem, settings, devices, fill_evenly(cores, room, _ranks(devices)))


def arranged(
    problem: Problem, settings: ContextSettings, devices: tuple[Device, ...], counts: Sequence[int]
) -> Iterator[Layout]:
    """Layouts with these layer counts: as they are, and with the parts moved that have no room."""
    blocks = problem.blocks.layers
    plain = contiguous(devices, counts, len(blocks))
    yield plain
    room = problem.room(settings, _with_a_part_on_host(plain))
    for home, size, block in zip(plain.layers, problem.sizes(settings), blocks, strict=True):
        if home != HOST:
            room[home] -= size - block.movable_bytes
    if min(room, default=0.0) >= -_SLACK:
        for order in (range(len(blocks)), range(len(blocks) - 1, -1, -1)):
            yield replace(plain, moved=_moved(blocks, plain, room, order))


def _ranks(devices: Sequence[Device]) -> list[int]:
    """0 for the fastest devices, 1 for the next."""
    speeds = sorted({device.bandwidth or 0 for device in devices}, reverse=True)
    return [speeds.index(device.bandwidth or 0) for device in devices]


def _moved(
    blocks: Sequence[Block], layout: Layout, room: Sequence[float], order: Iterable[int]
) -> dict[tuple[int, str], int]:
    """Movable parts that do not stay, the largest first: each where the roomiest device takes it, else to the host."""
    homeless, left = _homeless(blocks, layout, room, order)
    sizes = {(layer, stem): blocks[layer].movable[stem].bytes for layer, stem in homeless}
    moved: dict[tuple[int, str], int] = {}
    most = max(left, default=0.0)
    for key in sorted(homeless, key=sizes.__getitem__, reverse=True):
        if sizes[key] <= most:
            roomiest = moved[key] = left.index(most)
            left[roomiest] -= sizes[key]
            most = max(left)
        else:
            moved[key] = HOST
    return {(layer, stem): target for (layer, stem), target in moved.items() if target != layout.layers[layer]}


def _homeless(
    blocks: Sequence[Block], layout: Layout, room: Sequence[float], order: Iterable[int]
) -> tuple[list[tuple[int, str]], list[float]]:
    """Movable parts that have no room where their layer is, and the room that the others leave on every device.

    In `order`, each device keeps the parts of as many layers as it can, then some of one more.
    """
    homeless: list[tuple[int, str]] = []
    left, full = list(room), set[int]()
    for layer in order:
        home, block = layout.layers[layer], blocks[layer]
        if home == HOST or not block.movable:
            continue
        if home in full:
            homeless += [(layer, stem) for stem in block.movable]
            continue
        kept = _kept(block, left[home])
        left[home] -= sum(block.movable[stem].bytes for stem in kept)
        if len(kept) < len(block.movable):
            full.add(home)
        homeless += [(layer, stem) for stem in block.movable if stem not in kept]
    return homeless, left


def _kept(block: Block, room: float) -> tuple[str, ...]:
    """The movable parts that fill the room best: all of them where they fit."""
    if block.movable_bytes <= room:
        return tuple(block.movable)
    sizes = {group: sum(block.movable[stem].bytes for stem in group) for group in some_of(block)}
    return max((group for group, size in sizes.items() if size <= max(0.0, room)), key=sizes.__getitem__)


def some_of(block: Block) -> Iterator[tuple[str, ...]]:
    """Every choice of movable parts that leaves at least one, the empty choice first."""
    stems = tuple(block.movable)
    return (group for size in range(len(stems)) for group in combinations(stems, size))


# ---- layouts that stand for others: compute buffers depend on who takes part, not on how many layers each has


def _with_a_layer_on_host(devices: tuple[Device, ...], total: int) -> Layout:
    return Layout(devices, (HOST, *even(devices, total - 1).layers))


def _with_a_part_on_host(layout: Layout) -> Layout:
    """A part of the first layer, of no name: which of its parts it is makes no difference."""
    return replace(layout, moved={(0, ""): HOST})
