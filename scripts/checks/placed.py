"""A placement read as llama.cpp reads it: where that puts everything, and what it takes by our ledger."""

import re
from collections.abc import Iterable

from models.headers.shape import ModelShape
from runner.cost.blocks import Blocks, blocks_of
from runner.cost.kv import ContextSettings
from runner.cost.layout import HOST, Layout, contiguous
from runner.cost.ledger import rows
from runner.types.machine import Device, Machine
from runner.types.placement import Override, Placement
from runner.types.plan import MemoryRow


def ledger(shape: ModelShape, machine: Machine, placement: Placement) -> tuple[MemoryRow, ...]:
    """What `placement` takes: a row for each of its devices, the host last."""
    blocks = blocks_of(shape)
    by_id = {device.id: device for device in machine.devices}
    devices = tuple(by_id[name] for name in placement.devices)
    layout = layout_of(blocks, devices, placement.tensor_split, placement.overrides)
    return rows(blocks, layout, settings_of(placement), machine)


def settings_of(placement: Placement) -> ContextSettings:
    """The context settings in a placement."""
    return ContextSettings(placement.ctx, placement.kv_type, placement.ubatch, placement.sequences, placement.outputs)


def layout_of(
    blocks: Blocks, devices: tuple[Device, ...], counts: Iterable[int], overrides: Iterable[Override]
) -> Layout:
    """Read `counts` and `overrides` as llama.cpp does: the first pattern found in a name decides."""
    plain = contiguous(devices, counts, len(blocks.layers))
    index = {device.id: number for number, device in enumerate(plain.devices)} | {"CPU": HOST}
    rules = [(re.compile(override.pattern), index[override.device]) for override in overrides]
    moved: dict[tuple[int, str], int] = {}
    for layer, block in enumerate(blocks.layers):
        for stem in block.movable:
            name = f"blk.{layer}.{stem}.weight"
            target = next((to for rule, to in rules if rule.search(name)), plain.layers[layer])
            if target != plain.layers[layer]:
                moved[layer, stem] = target
    return Layout(plain.devices, plain.layers, moved, sequential=bool(rules) and not moved)
