"""The ways to lay a model out on a machine. Pure.

For given context settings there are four kinds of layout, tried on every sensible set of devices:
- whole: every layer on the devices, the fastest filled first, equal ones alike; pipelined, or with more room one
  after another;
- by layers: as many whole layers as fit, the rest with their KV cache on the host;
- apart: the cores and KV caches of all layers on the devices (of as many as fit), and of their movable parts, which are
  dense FFNs or routed experts, what there is room for; the rest on another device with room, or on the host;
- the host alone.
Where experts can be moved they leave before any KV cache does, so a mixture of experts is never cut by layers.
Which layout is best is the search's business (runner.planning.search), which also checks every one against the ledger.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, permutations

from runner.cost.blocks import Block, Blocks
from runner.cost.compute_buffers import compute_bytes
from runner.cost.kv import ContextSettings
from runner.cost.layout import HOST, Layout, contiguous
from runner.cost.ledger import host_reserve, reserve
from runner.planning.packing import apportion, fill, fill_evenly, fill_front, fill_partly
from runner.types.machine import Device, Machine

FEW_DEVICES = 3


@dataclass(frozen=True, slots=True)
class Layouts:
    """One model and one machine.

    `shares`: proportions over all devices that must be kept. `extra`: bytes that a rehearsal found beyond
    our own ledger, by device, `CPU` for the host.
    """

    blocks: Blocks
    machine: Machine
    margin: int | None = None
    shares: tuple[float, ...] | None = None
    extra: Mapping[str, int] = field(default_factory=dict)

    def layouts(self, settings: ContextSettings) -> Iterator[Layout]:
        """All layouts worth weighing."""
        for devices in self.device_sets():
            whole = [*self.whole(settings, devices), *self._sequential(settings, devices)]
            yield from whole
            if whole:
                continue
            if not self.blocks.shape.experts:
                yield self._by_layers(settings, devices)
            yield from self._apart(settings, devices)
        yield contiguous((), (), len(self.blocks.layers))

    # ---- the kinds of layout

    def whole(
        self, settings: ContextSettings, devices: tuple[Device, ...], count: int | None = None
    ) -> Iterator[Layout]:
        """All layers (or the last `count`) on the devices, if there is room."""
        total = len(self.blocks.layers)
        if count is None or count == total:
            return self._all(settings, _even(devices, total), total)
        return self._all(settings, _with_a_layer_on_host(devices, total), count)

    def _sequential(self, settings: ContextSettings, devices: tuple[Device, ...]) -> Iterator[Layout]:
        """All layers on several devices that do not pipeline."""
        if len(devices) == 1:
            return
        total = len(self.blocks.layers)
        for layout in self._all(settings, replace(_even(devices, total), sequential=True), total):
            yield replace(layout, sequential=True)

    def _all(self, settings: ContextSettings, template: Layout, count: int) -> Iterator[Layout]:
        """Equal devices filled alike, and as much as possible on the last ones."""
        devices, total = template.devices, len(template.layers)
        sizes, room = self._sizes(settings)[total - count :], self._room(settings, template)
        full = fill(sizes, room, self.shares)
        if sum(full) < count:
            return
        if self.shares is None:
            yield contiguous(devices, fill_evenly(sizes, room, _ranks(devices)), total)
        yield contiguous(devices, full, total)

    def overdrawn(self, devices: tuple[Device, ...], count: int) -> Layout:
        """The last `count` layers on the devices in proportion to their free memory, though they do not fit."""
        shares = self.shares or [max(1, device.free) for device in devices]
        counts = apportion(count, shares) if devices else ()
        return contiguous(devices, counts, len(self.blocks.layers))

    def _by_layers(self, settings: ContextSettings, devices: tuple[Device, ...]) -> Layout:
        total = len(self.blocks.layers)
        room = self._room(settings, _with_a_layer_on_host(devices, total))
        return contiguous(devices, fill(self._sizes(settings), room, self.shares), total)

    def _apart(self, settings: ContextSettings, devices: tuple[Device, ...]) -> Iterator[Layout]:
        total = len(self.blocks.layers)
        movable = [block.movable_bytes for block in self.blocks.layers]
        cores = [size - more for size, more in zip(self._sizes(settings), movable, strict=True)]
        room = self._room(settings, _with_a_part_on_host(_even(devices, total)))
        yield from self.arranged(settings, devices, fill_partly(cores, movable, room, self.shares))
        if len(devices) == 1 or self.shares is not None:
            return
        yield from self.arranged(settings, devices, fill_front(self._sizes(settings), room))
        if sum(fill(cores, room)) == total:
            yield from self.arranged(settings, devices, fill_evenly(cores, room, _ranks(devices)))

    def arranged(
        self, settings: ContextSettings, devices: tuple[Device, ...], counts: Sequence[int]
    ) -> Iterator[Layout]:
        """Layouts with these layer counts: as they are, and with the parts moved that have no room."""
        blocks = self.blocks.layers
        plain = contiguous(devices, counts, len(blocks))
        yield plain
        room = self._room(settings, _with_a_part_on_host(plain))
        sizes = self._sizes(settings)
        for home, size, block in zip(plain.layers, sizes, blocks, strict=True):
            if home != HOST:
                room[home] -= size - block.movable_bytes
        if min(room, default=0.0) >= 0:
            for order in (range(len(blocks)), range(len(blocks) - 1, -1, -1)):
                yield replace(plain, moved=_spread(blocks, plain, list(room), order))

    # ---- what there is

    def short_of_whole(self, settings: ContextSettings) -> int:
        """Bytes that all devices together lack to hold every layer; with several devices a little more is needed."""
        template = _even(self.machine.devices, len(self.blocks.layers))
        return int(sum(self._sizes(settings)) - sum(self._room(settings, template)))

    def device_sets(self) -> list[tuple[Device, ...]]:
        """Sets of devices to try, in all orders where they are few: output layer and scratch make a difference."""
        devices = self.machine.devices
        if self.shares is not None:
            return [devices]
        fast = sorted(devices, key=lambda device: -(device.bandwidth or 0))
        roomy = sorted(devices, key=lambda device: -device.free)
        sizes = range(1, len(devices) + 1)
        if len(devices) <= FEW_DEVICES:
            sets = [order for size in sizes for order in permutations(fast, size)]
        else:
            sets = [tuple(order[:size]) for size in sizes for order in (fast, fast[::-1], roomy)]
        return list({_kinds(order): order for order in reversed(sets)}.values())[::-1]

    def budget(self) -> tuple[int, int]:
        """Bytes that may be used: on devices with memory of their own, and in RAM."""
        own = (device for device in self.machine.devices if not device.shares_host_memory)
        devices = sum(max(0, device.free - reserve(device, self.margin)) for device in own)
        return devices, max(0, self.machine.ram_available - host_reserve(self.machine))

    def may_fit(self, settings: ContextSettings) -> bool:
        """Whether weights and KV caches are less than all memory there is: a quick way to say no."""
        return sum(self._sizes(settings)) - self.blocks.tied <= sum(self.budget())

    def _sizes(self, settings: ContextSettings) -> list[int]:
        """Bytes of every layer with its KV cache on a device."""
        caches = (*self.blocks.caches.held(settings), 0)
        return [block.bytes + cache for block, cache in zip(self.blocks.layers, caches, strict=True)]

    def _room(self, settings: ContextSettings, template: Layout) -> list[float]:
        """Bytes for weights and KV on each device of a layout of the template's kind."""
        compute = compute_bytes(self.blocks, template, settings)
        ram = self.machine.ram_available - host_reserve(self.machine) - self.blocks.input - compute.host
        room: list[float] = []
        for device, taken in zip(template.devices, compute.devices, strict=True):
            free = device.free - reserve(device, self.margin)
            if device.shares_host_memory:
                free = min(free, ram - device.overhead)
            room.append(free - taken - self.blocks.shared - self.extra.get(device.id, 0))
        return room


def _kinds(devices: Sequence[Device]) -> tuple[Device, ...]:
    """Equal for sets of devices that are as good as each other."""
    return tuple(replace(device, id="", name="", uid=None) for device in devices)


def _ranks(devices: Sequence[Device]) -> list[int]:
    """0 for the fastest devices, 1 for the next."""
    speeds = sorted({device.bandwidth or 0 for device in devices}, reverse=True)
    return [speeds.index(device.bandwidth or 0) for device in devices]


def _even(devices: tuple[Device, ...], total: int) -> Layout:
    return Layout(devices, tuple(min(layer, len(devices) - 1) for layer in range(total)))


def _with_a_layer_on_host(devices: tuple[Device, ...], total: int) -> Layout:
    return Layout(devices, (HOST, *_even(devices, total - 1).layers))


def _with_a_part_on_host(layout: Layout) -> Layout:
    return replace(layout, moved={(0, ""): HOST})


def _spread(
    blocks: Sequence[Block], layout: Layout, room: list[float], order: Iterable[int]
) -> dict[tuple[int, str], int]:
    """Movable parts that do not stay: in `order`, each device keeps layers, then tensors of one more.

    What is left goes where another device has room, else to the host. Updates `room`.
    """
    homeless: list[tuple[int, str]] = []
    full: set[int] = set()
    for layer in order:
        home, block = layout.layers[layer], blocks[layer]
        if home == HOST or not block.movable:
            continue
        kept = () if home in full else _kept(block, room[home])
        room[home] -= sum(block.movable[stem].bytes for stem in kept)
        if len(kept) < len(block.movable):
            full.add(home)
        homeless += [(layer, stem) for stem in block.movable if stem not in kept]
    sizes = {(layer, stem): blocks[layer].movable[stem].bytes for layer, stem in homeless}
    largest_first = sorted(homeless, key=sizes.__getitem__, reverse=True)
    targets = {key: _host_or_room(sizes[key], room) for key in largest_first}
    return {key: target for key, target in targets.items() if target != layout.layers[key[0]]}


def _kept(block: Block, room: float) -> tuple[str, ...]:
    """The movable parts that fill the room best: all of them where they fit."""
    stems = tuple(block.movable)
    if block.movable_bytes <= room:
        return stems
    choices = (group for size in range(len(stems)) for group in combinations(stems, size))
    sizes = {group: sum(block.movable[stem].bytes for stem in group) for group in choices}
    return max((group for group, size in sizes.items() if size <= max(0.0, room)), key=sizes.__getitem__)


def _host_or_room(size: int, room: list[float]) -> int:
    roomiest = max(range(len(room)), key=room.__getitem__, default=HOST)
    if roomiest == HOST or room[roomiest] < size:
        return HOST
    room[roomiest] -= size
    return roomiest
