"""A placement read as llama.cpp reads it: where that puts everything, what it takes, and how fast it would be."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from models.headers.shape import ModelShape
from runner.cost.blocks import Blocks, blocks_of
from runner.cost.checkpoints import CHECKPOINTS
from runner.cost.forecast import Forecast, forecast, work_of
from runner.cost.kv import ContextSettings
from runner.cost.layout import HOST, Layout, by_tensor, contiguous
from runner.cost.ledger import rows
from runner.cost.work import Offload, Prefill, Work
from runner.types.machine import Device, Machine
from runner.types.placement import Override, Placement, SplitMode
from runner.types.plan import MemoryRow


@dataclass(frozen=True, slots=True)
class LaidOut:
    """A placement as the formulas of runner.cost take it, on a machine that has its devices."""

    machine: Machine
    placement: Placement
    blocks: Blocks
    layout: Layout

    @property
    def settings(self) -> ContextSettings:
        """Those in the placement."""
        return settings_of(self.placement)

    @property
    def offload(self) -> Offload:
        """How weights on the host reach a GPU."""
        return Offload(self.placement.load_mode == "none", self.placement.offload_batch)

    def ledger(self) -> tuple[MemoryRow, ...]:
        """What it takes: a row for each of its devices, the host last."""
        return rows(self.blocks, self.layout, self.settings, self.machine)

    def prompt(self, tokens: int) -> tuple[tuple[Work, ...], Prefill]:
        """What is done for a prompt from an empty cache on, and how it is fed."""
        return self.work(tokens // 2), Prefill(tokens, self.placement.ubatch, self.offload)

    def work(self, depth: int) -> tuple[Work, ...]:
        """What is done for a token so far into the context."""
        return work_of(self.blocks, self.layout, self.settings, depth)

    def speeds(self) -> Forecast:
        """How fast it would run."""
        return forecast(self.blocks, self.layout, self.settings, self.machine, self.offload)


def laid_out(shape: ModelShape, machine: Machine, placement: Placement) -> LaidOut:
    """Read it as llama.cpp does."""
    blocks = blocks_of(shape)
    by_id = {device.id: device for device in machine.devices}
    devices = tuple(by_id[name] for name in placement.devices)
    return LaidOut(machine, placement, blocks, layout_in(blocks, devices, placement))


def ledger(shape: ModelShape, machine: Machine, placement: Placement) -> tuple[MemoryRow, ...]:
    """What `placement` takes: a row for each of its devices, the host last."""
    return laid_out(shape, machine, placement).ledger()


def settings_of(placement: Placement) -> ContextSettings:
    """The context settings in a placement."""
    return ContextSettings(
        placement.ctx,
        placement.kv_type,
        placement.ubatch,
        placement.sequences,
        placement.outputs,
        CHECKPOINTS if placement.checkpoints else 0,
        placement.drafts,
        placement.rollback,
        placement.has_heads,
    )


def layout_in(blocks: Blocks, devices: tuple[Device, ...], placement: Placement) -> Layout:
    """The layout that a placement on these devices says."""
    if placement.split_mode is SplitMode.TENSOR:
        return by_tensor(devices, len(blocks.layers))
    return layout_of(blocks, devices, placement.tensor_split, placement.overrides)


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
