"""One model and one machine: what has to be placed, and how much room there is for it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import permutations

from runner.cost.blocks import Blocks
from runner.cost.checkpoints import checkpoint_bytes
from runner.cost.compute_buffers import compute_bytes
from runner.cost.heads import head_bytes
from runner.cost.kv import ContextSettings
from runner.cost.layout import HOST, Layout
from runner.cost.ledger import host_reserve, reserve
from runner.planning.mix import mix_of
from runner.types.exchange import Exchange
from runner.types.machine import Device, Machine
from runner.types.placement import SplitMode
from runner.types.wish import Prefer

FEW_DEVICES = 3


@dataclass(frozen=True, slots=True)
class Problem:
    """What is to be placed, and where.

    `shares`: proportions over all devices that must be kept. `extra`: bytes that a rehearsal found beyond
    our own ledger, by device, `CPU` for the host. `prefer` and `habits`: whose requests count (runner.planning.mix).
    `split_mode`: the only one to weigh; None: any. `insists`: something has to be on a device.
    """

    blocks: Blocks
    machine: Machine
    margin: int | None = None
    shares: tuple[float, ...] | None = None
    extra: Mapping[str, int] = field(default_factory=dict)
    prefer: Prefer = Prefer.BALANCED
    habits: tuple[Exchange, ...] = ()
    split_mode: SplitMode | None = None
    insists: bool = False

    @property
    def layers_total(self) -> int:
        """Layers, the output layer included."""
        return len(self.blocks.layers)

    @property
    def trained(self) -> int:
        """The context that the model was trained on."""
        return self.blocks.shape.context_trained

    def mix(self, settings: ContextSettings) -> tuple[Exchange, ...]:
        """The requests that a placement is chosen for."""
        return mix_of(settings.ctx, self.prefer, self.habits)

    def device_sets(self) -> list[tuple[Device, ...]]:
        """Sets of devices to try, in all orders where they are few: output layer and scratch make a difference."""
        devices = self.machine.devices
        if self.shares is not None:
            return [devices]
        fast = sorted(devices, key=lambda device: (device.lent is not None, -(device.bandwidth or 0)))
        roomy = sorted(devices, key=lambda device: (device.lent is not None, -device.free))
        sizes = range(1, len(devices) + 1)
        if len(devices) <= FEW_DEVICES:
            sets = [order for size in sizes for order in permutations(fast, size)]
        else:
            sets = [tuple(order[:size]) for size in sizes for order in (fast, fast[::-1], roomy)]
        return list({tuple(one.nameless for one in order): order for order in reversed(sets)}.values())[::-1]

    def sizes(self, settings: ContextSettings) -> list[int]:
        """Bytes of every layer with its KV cache on a device."""
        caches = (*self.blocks.caches.held(settings), 0)
        return [block.bytes + cache for block, cache in zip(self.blocks.layers, caches, strict=True)]

    def room(self, settings: ContextSettings, template: Layout) -> list[float]:
        """Bytes for weights and KV on each device, beside the compute buffers of a layout like the template."""
        compute = compute_bytes(self.blocks, template, settings)
        ram = self.machine.ram_available - host_reserve(self.machine) - self.blocks.input - compute[HOST]
        ram -= checkpoint_bytes(self.blocks.caches, settings, self.machine.ram_total)
        left: list[float] = []
        for index, device in enumerate(template.devices):
            free = device.free - reserve(device, self.margin)
            if device.shares_host_memory:
                free = min(free, ram - device.overhead)
            left.append(free - compute[index] - self.blocks.shared - self.extra.get(device.id, 0))
        if left and settings.heads:  # they are with the last layers
            heads = head_bytes(self.blocks, template, settings, compute)
            left[-1] -= sum(sum(sizes.values()) for sizes in (heads.weights, heads.kv))
            left[-1] -= heads.compute.get(len(left) - 1, 0)
        return left

    def budget(self) -> tuple[int, int]:
        """Bytes that may be used: on devices with memory of their own, and in RAM."""
        own = (device for device in self.machine.devices if not device.shares_host_memory)
        devices = sum(max(0, device.free - reserve(device, self.margin)) for device in own)
        return devices, max(0, self.machine.ram_available - host_reserve(self.machine))

    def may_fit(self, settings: ContextSettings) -> bool:
        """Whether weights and KV caches are less than all memory there is: a quick way to say no."""
        return sum(self.sizes(settings)) - self.blocks.tied <= sum(self.budget())

    def short_of_whole(self, settings: ContextSettings) -> int:
        """Bytes that all devices together lack to hold every layer; with several devices a little more is needed."""
        template = even(self.machine.devices, self.layers_total)
        return int(sum(self.sizes(settings)) - sum(self.room(settings, template)))


def even(devices: tuple[Device, ...], total: int) -> Layout:
    """Every device in use: what compute buffers depend on, whatever the counts."""
    return Layout(devices, tuple(min(layer, len(devices) - 1) for layer in range(total)))
