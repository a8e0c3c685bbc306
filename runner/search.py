"""The ways to lay a model out on a machine, and which of them is fastest. Pure.

For given context settings there are four kinds of layout, tried on every sensible set of devices:
- whole: every layer on the devices, the fastest filled first, equal ones alike;
- by layers: as many whole layers as fit, the rest with their KV cache on the host;
- apart: the cores and KV caches of all layers on the devices (of as many as fit), and of their movable parts, which are
  dense FFNs or routed experts, what there is room for; the rest on another device with room, or on the host;
- the host alone.
Where experts can be moved they leave before any KV cache does, so a mixture of experts is never cut by layers. Of all
layouts that overdraw no ledger the one with the best predicted decode speed wins.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from runner.compute import compute_bytes
from runner.forecast import predict
from runner.kv import Settings, kv_bytes
from runner.layout import HOST, Block, Blocks, Layout, contiguous
from runner.ledger import host_reserve, reserve, rows, shortages
from runner.machine import Device, Machine
from runner.packing import apportion, fill, fill_evenly, fill_partly
from runner.plan import MemoryRow, Predicted

_MOST_SETS = 32


@dataclass(frozen=True, slots=True)
class Proposal:
    """A layout with its consequences; `missing` are the bytes by which devices are overdrawn."""

    settings: Settings
    layout: Layout
    memory: tuple[MemoryRow, ...]
    predicted: Predicted
    missing: Mapping[str, int]

    @property
    def score(self) -> tuple[float, int, float]:
        """Better is larger: decode speed, then fewer devices, then prefill speed."""
        return self.predicted.decode_tps, -len(self.layout.devices), self.predicted.prefill_tps


@dataclass(frozen=True, slots=True)
class Search:
    """One model on one machine.

    `shares`: proportions over all devices that must be kept. `extra`: bytes that a rehearsal found beyond
    our own ledger, by device, `CPU` for the host.
    """

    blocks: Blocks
    machine: Machine
    margin: int | None = None
    shares: tuple[float, ...] | None = None
    extra: Mapping[str, int] = field(default_factory=dict)

    def best(self, settings: Settings) -> Proposal | None:
        """The fastest layout that fits; None if none does."""
        if not self._may_fit(settings):
            return None
        weighed = (self.weigh(settings, layout) for layout in self.layouts(settings))
        return max((item for item in weighed if not item.missing), key=lambda item: item.score, default=None)

    def weigh(self, settings: Settings, layout: Layout) -> Proposal:
        """The ledger and the speed of a layout."""
        memory = rows(self.blocks, layout, settings, self.machine)
        missing = shortages(self._with_extra(memory), layout, self.machine, self.margin)
        return Proposal(settings, layout, memory, predict(self.blocks, layout, settings, self.machine), missing)

    def _with_extra(self, memory: Sequence[MemoryRow]) -> list[MemoryRow]:
        return [replace(row, compute=row.compute + self.extra.get(row.device, 0)) for row in memory]

    def layouts(self, settings: Settings) -> Iterator[Layout]:
        """All layouts worth weighing."""
        for devices in self._device_sets():
            whole = self.whole(settings, devices)
            if whole is not None:
                yield whole
                continue
            if not self.blocks.shape.experts:
                yield self._by_layers(settings, devices)
            yield self._apart(settings, devices)
        yield contiguous((), (), len(self.blocks.layers))

    def is_whole(self, settings: Settings) -> bool:
        """Whether all layers and their KV caches fit on devices."""
        found = (self.whole(settings, devices) for devices in self._device_sets())
        return any(layout is not None and not self.weigh(settings, layout).missing for layout in found)

    def largest_whole(self, settings: Settings) -> int:
        """The largest context, a multiple of 256 up to the trained length, with everything on devices; 0 if none."""
        low, high = 0, max(1, self.blocks.shape.context_trained // 256)
        if self.is_whole(replace(settings, ctx=256 * high)):
            return 256 * high
        while high - low > 1:
            middle = (low + high) // 2
            if self.is_whole(replace(settings, ctx=256 * middle)):
                low = middle
            else:
                high = middle
        return 256 * low

    def with_layers(self, settings: Settings, count: int) -> Proposal:
        """The fastest way to have exactly the last `count` layers on devices, in proportion to memory if none fits."""
        sets = self._device_sets() if count else []
        found = (self.whole(settings, devices, count) for devices in sets)
        weighed = [self.weigh(settings, layout) for layout in found if layout is not None]
        fitting = [item for item in weighed if not item.missing]
        if fitting:
            return max(fitting, key=lambda item: item.score)
        return self.weigh(settings, self.overdrawn(self.machine.devices, count))

    # ---- the kinds of layout

    def whole(self, settings: Settings, devices: tuple[Device, ...], count: int | None = None) -> Layout | None:
        """All layers (or the last `count`) on the devices, filled evenly; None without room."""
        total = len(self.blocks.layers)
        count = total if count is None else count
        template = _even(devices, total) if count == total else _with_a_layer_on_host(devices, total)
        sizes = self._sizes(settings)[total - count :]
        speeds = sorted({device.bandwidth or 0 for device in devices}, reverse=True)
        ranks = [speeds.index(device.bandwidth or 0) for device in devices]
        counts = fill_evenly(sizes, self._room(settings, template), ranks, self.shares)
        return None if counts is None else contiguous(devices, counts, total)

    def overdrawn(self, devices: tuple[Device, ...], count: int) -> Layout:
        """The last `count` layers on the devices in proportion to their free memory, though they do not fit."""
        shares = self.shares or [max(1, device.free) for device in devices]
        counts = apportion(count, shares) if devices else ()
        return contiguous(devices, counts, len(self.blocks.layers))

    def _by_layers(self, settings: Settings, devices: tuple[Device, ...]) -> Layout:
        total = len(self.blocks.layers)
        room = self._room(settings, _with_a_layer_on_host(devices, total))
        return contiguous(devices, fill(self._sizes(settings), room, self.shares), total)

    def _apart(self, settings: Settings, devices: tuple[Device, ...]) -> Layout:
        blocks, total = self.blocks.layers, len(self.blocks.layers)
        movable = [block.movable_bytes for block in blocks]
        cores = [size - more for size, more in zip(self._sizes(settings), movable, strict=True)]
        counts = fill_partly(cores, movable, self._room(settings, _with_a_part_on_host(devices, total)), self.shares)
        plain = contiguous(devices, counts, total)
        template = replace(plain, moved={(0, ""): HOST})
        room = self._room(settings, template)
        for home, core in zip(plain.layers, cores, strict=True):
            if home != HOST:
                room[home] -= core
        return replace(plain, moved=_spread(blocks, plain, room))

    # ---- what there is

    def short_of_whole(self, settings: Settings) -> int:
        """Bytes that all devices together lack to hold every layer; with several devices a little more is needed."""
        template = _even(self.machine.devices, len(self.blocks.layers))
        return int(sum(self._sizes(settings)) - sum(self._room(settings, template)))

    def _device_sets(self) -> list[tuple[Device, ...]]:
        """Sets of devices to try, the fastest device of each first."""
        devices = self.machine.devices
        if self.shares is not None:
            return [devices]
        ordered = sorted(devices, key=lambda device: -(device.bandwidth or 0))
        sets = [group for size in range(1, len(ordered) + 1) for group in combinations(ordered, size)]
        if len(sets) > _MOST_SETS:
            roomy = sorted(devices, key=lambda device: -device.free)
            sets = [tuple(order[:size]) for size in range(1, len(devices) + 1) for order in (ordered, roomy)]
        return list({_kinds(group): group for group in reversed(sets)}.values())

    def budget(self) -> tuple[int, int]:
        """Bytes that may be used: on devices with memory of their own, and in RAM."""
        own = (device for device in self.machine.devices if not device.shares_host_memory)
        devices = sum(max(0, device.free - reserve(device, self.margin)) for device in own)
        return devices, max(0, self.machine.ram_available - host_reserve(self.machine))

    def _may_fit(self, settings: Settings) -> bool:
        """Whether weights and KV caches are less than all memory there is: a quick way to say no."""
        return sum(self._sizes(settings)) - self.blocks.tied <= sum(self.budget())

    def _sizes(self, settings: Settings) -> list[int]:
        """Bytes of every layer with its KV cache on a device."""
        caches = (*kv_bytes(self.blocks.shape, settings), 0)
        return [block.bytes + cache for block, cache in zip(self.blocks.layers, caches, strict=True)]

    def _room(self, settings: Settings, template: Layout) -> list[float]:
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


def _kinds(devices: Sequence[Device]) -> tuple[tuple[float | None, int, int], ...]:
    """Equal for sets of devices that are as good as each other."""
    return tuple((device.bandwidth, device.free, device.overhead) for device in devices)


def _even(devices: tuple[Device, ...], total: int) -> Layout:
    return Layout(devices, tuple(min(layer, len(devices) - 1) for layer in range(total)))


def _with_a_layer_on_host(devices: tuple[Device, ...], total: int) -> Layout:
    return Layout(devices, (HOST, *_even(devices, total - 1).layers))


def _with_a_part_on_host(devices: tuple[Device, ...], total: int) -> Layout:
    return replace(_even(devices, total), moved={(0, ""): HOST})


def _spread(blocks: Sequence[Block], layout: Layout, room: list[float]) -> dict[tuple[int, str], int]:
    """Movable parts that do not stay: from the back, each device keeps layers, then tensors of one more.

    What is left goes where another device has room, else to the host. Updates `room`.
    """
    homeless: list[tuple[int, str]] = []
    full: set[int] = set()
    for layer in range(len(blocks) - 1, -1, -1):
        home, block = layout.layers[layer], blocks[layer]
        if home == HOST or not block.movable:
            continue
        kept = () if home in full else _kept(block, room[home])
        room[home] -= sum(block.movable[stem].bytes for stem in kept)
        if len(kept) < len(block.movable):
            full.add(home)
        homeless += [(layer, stem) for stem in block.movable if stem not in kept]
    return {key: _host_or_room(blocks[key[0]].movable[key[1]].bytes, room) for key in homeless}


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
