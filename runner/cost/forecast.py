"""How fast a layout would run: what each device reads, handed to the speed model. Pure."""

from dataclasses import dataclass

from runner.cost.blocks import Blocks, Part
from runner.cost.kv import ContextSettings
from runner.cost.layout import HOST, Layout
from runner.cost.speed import Work, decode_tps, prefill_tps
from runner.types.machine import Machine
from runner.types.plan import Predicted

REFERENCE_DEPTH = 2048
_FFN_SHARE = 0.5  # of a layer's kernels are started for its movable parts: a guess, half for either side


@dataclass(slots=True)
class _Load:
    bytes: int = 0
    read: float = 0.0
    weights: float = 0.0
    kv: int = 0
    layers: float = 0.0

    def take(self, part: Part) -> None:
        """Hold this part too."""
        self.bytes += part.bytes
        self.read += part.read
        self.weights += part.weights


def predict(blocks: Blocks, layout: Layout, settings: ContextSettings, machine: Machine) -> Predicted:
    """Decode at the reference depth (less where the context is shorter) and prefill, in tokens per second."""
    depth = min(REFERENCE_DEPTH, settings.ctx)
    work = work_of(blocks, layout, settings, depth)
    return Predicted(
        decode_tps=decode_tps(work, machine, layout.splits),
        prefill_tps=prefill_tps(work, machine, ubatch=settings.ubatch),
        at_depth=depth,
    )


def work_of(blocks: Blocks, layout: Layout, settings: ContextSettings, depth: int) -> tuple[Work, ...]:
    """What each device, and the host if it computes at all, does for one token `depth` tokens into a context."""
    loads = {index: _Load() for index in range(HOST, len(layout.devices))}
    read = (*blocks.caches.read(settings, depth), 0)
    taken_apart = {layer for layer, _stem in layout.moved}
    for layer, (block, home) in enumerate(zip(blocks.layers, layout.layers, strict=True)):
        load = loads[home]
        load.kv += read[layer]
        load.layers += 1
        if layer not in taken_apart:
            load.take(block.whole)
            continue
        load.take(block.core)
        for stem, part in block.movable.items():
            target = loads[layout.moved.get((layer, stem), home)]
            target.take(part)
            if target is not load:
                share = _FFN_SHARE / len(block.movable)
                target.layers += share
                load.layers -= share
    return tuple(
        Work(
            device=None if index == HOST else layout.devices[index],
            weight_bytes=load.read,
            weights=load.weights,
            kv_bytes=load.kv,
            stored_bytes=load.bytes,
            layers=load.layers,
        )
        for index, load in loads.items()
        if load.layers
    )
