"""Bytes per device: weights, KV cache, compute buffers, and whether they fit. Pure.

Weights follow from the tensor table, to the byte; KV caches and compute buffers have their own modules (kv,
compute_buffers).
What llama.cpp itself says in a rehearsal may replace all three. Nothing here knows speed or preference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from runner.cost.blocks import Blocks
from runner.cost.checkpoints import checkpoint_bytes
from runner.cost.compute_buffers import compute_bytes, helper_of
from runner.cost.drafts import copy_bytes
from runner.cost.heads import head_bytes
from runner.cost.kv import ContextSettings
from runner.cost.layout import HOST, Layout
from runner.cost.tensor_split import caches_on_each, weights_on_each
from runner.types.engine import ComponentBytes, summed
from runner.types.machine import Device, Machine
from runner.types.plan import MemoryRow, Source
from runner.types.units import GIB, MIB

DEFAULT_MARGIN = 1024 * MIB  # as llama.cpp's own fit leaves (common/common.h: fit_params_target)
_BEYOND_OVERHEAD = 256 * MIB  # for pools that grow while a GPU computes, whatever the margin
_HOST_MARGIN = 1 * GIB


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What llama.cpp itself said about a placement, the host as `CPU`; a STAND_IN cannot show a GPU's scratch.

    `refusal`: why llama.cpp does not take it, None if it does. `companion`: what the model's own heads take beside
    `memory`, which has their weights.
    """

    memory: tuple[ComponentBytes, ...]
    source: Source = Source.REHEARSAL
    refusal: str | None = None
    companion: tuple[ComponentBytes, ...] = ()


def rows(blocks: Blocks, layout: Layout, settings: ContextSettings, machine: Machine) -> tuple[MemoryRow, ...]:
    """The ledger of a layout. The host's free bytes are RAM less what devices that share it take.

    The host's overhead is the buffer of logits (llama-context.cpp: output_reserve), and states of conversations, which
    are no buffers of llama.cpp's.
    """
    weights = _weights(blocks, layout)
    kv = _caches(blocks, layout, settings)
    compute = compute_bytes(blocks, layout, settings)
    if settings.heads:
        heads = head_bytes(blocks, layout, settings, compute)
        weights, kv, compute = _sums(weights, heads.weights), _sums(kv, heads.kv), _sums(compute, heads.compute)
    lines = [
        MemoryRow(device.id, weights[index], kv[index], compute[index], device.overhead, device.free)
        for index, device in enumerate(layout.devices)
    ]
    output = 4 * blocks.shape.vocabulary * max(settings.outputs, settings.sequences)
    states = checkpoint_bytes(blocks.caches, settings, machine.ram_total) + copy_bytes(blocks.caches, settings)
    host = MemoryRow("CPU", weights[HOST], kv[HOST], compute[HOST], output + states, machine.ram_available)
    return (*lines, _shared(host, lines, layout))


def _sums(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    return {home: size + other.get(home, 0) for home, size in one.items()}


def _shared(host: MemoryRow, lines: Sequence[MemoryRow], layout: Layout) -> MemoryRow:
    pairs = zip(layout.devices, lines, strict=True)
    taken = sum(line.total for device, line in pairs if device.shares_host_memory)
    return replace(host, free=host.free - taken)


def _weights(blocks: Blocks, layout: Layout) -> Mapping[int, int]:
    """Bytes of weights by device index; one copy on the host, for placement chooses the load mode so."""
    if layout.is_by_tensor:
        return _on_each(layout, blocks.input, weights_on_each(blocks, len(layout.devices)))
    totals = dict.fromkeys([HOST, *range(len(layout.devices))], 0)
    totals[HOST] = blocks.input
    taken_apart = {layer for layer, _stem in layout.moved}
    for layer, (block, home) in enumerate(zip(blocks.layers, layout.layers, strict=True)):
        if layer not in taken_apart:
            totals[home] += block.bytes
            continue
        totals[home] += block.core.bytes
        for stem, part in block.movable.items():
            totals[layout.moved.get((layer, stem), home)] += part.bytes
    if layout.layers[-1] == HOST:
        totals[HOST] -= blocks.tied
    for home in set(layout.layers[:-1]):
        totals[home] += blocks.shared
    return totals


def _on_each(layout: Layout, host: int, each: int) -> dict[int, int]:
    return {HOST: host, **dict.fromkeys(range(len(layout.devices)), each)}


def _caches(blocks: Blocks, layout: Layout, settings: ContextSettings) -> Mapping[int, int]:
    """Bytes of KV caches and states by device index."""
    if layout.is_by_tensor:
        return _on_each(layout, 0, caches_on_each(blocks, settings, len(layout.devices)))
    totals = dict.fromkeys([HOST, *range(len(layout.devices))], 0)
    for home, value in zip(layout.layers, blocks.caches.held(settings), strict=False):
        totals[home] += value
    return totals


def measured(ours: Sequence[MemoryRow], rehearsed: Rehearsed, layout: Layout, blocks: Blocks) -> tuple[MemoryRow, ...]:
    """Our rows with llama.cpp's own numbers in place of ours."""
    if layout.is_by_tensor:
        return _together(ours, rehearsed.memory, blocks)
    said = {row.device: row for row in summed(rehearsed.memory, rehearsed.companion)}
    helper = helper_of(layout) if rehearsed.source is Source.STAND_IN else None
    lines = []
    for index, row in enumerate(ours):
        if row.device not in said:
            lines.append(row)
            continue
        real = said[row.device]
        scratch = blocks.largest if index == helper else 0
        lines.append(replace(row, weights=real.weights, kv=real.kv, compute=real.compute + scratch))
    free = ours[-1].free + sum(
        old.total - new.total
        for device, old, new in zip(layout.devices, ours, lines, strict=False)
        if device.shares_host_memory
    )
    return (*lines[:-1], replace(lines[-1], free=free))


def _together(ours: Sequence[MemoryRow], said: Sequence[ComponentBytes], blocks: Blocks) -> tuple[MemoryRow, ...]:
    """The same where every layer is split over the devices, which are one to llama.cpp: it names all their bytes.

    Buffers are as large on each of them. What there is to slice it tells undivided: what is beyond our own sum counts.
    """
    if not said:
        return tuple(ours)
    *lines, host = ours
    *devices, on_host = said
    weights, kv, compute = (sum(getattr(row, name) for row in devices) for name in ("weights", "kv", "compute"))
    beyond = max(0, weights - blocks.shared - sum(block.bytes for block in blocks.layers))
    more = max(1.0, kv / max(1, sum(row.kv for row in lines)))
    told = [replace(row, weights=row.weights + beyond, kv=int(row.kv * more), compute=compute) for row in lines]
    return (*told, replace(host, weights=on_host.weights, kv=on_host.kv, compute=on_host.compute))


def reserve(device: Device, margin: int | None) -> int:
    """Bytes of a device that stay free of weights, KV and compute: the driver's overhead is charged against them."""
    return max(DEFAULT_MARGIN if margin is None else margin, device.overhead + _BEYOND_OVERHEAD)


def host_reserve(machine: Machine) -> int:
    """RAM left to everybody else."""
    return max(machine.ram_total // 20, _HOST_MARGIN)


def shortages(lines: Sequence[MemoryRow], layout: Layout, machine: Machine, margin: int | None) -> dict[str, int]:
    """Devices that are overdrawn, the host as `CPU`, each with the bytes that are missing; empty if all fits."""
    missing = {
        row.device: row.held + reserve(device, margin) - row.free
        for device, row in zip(layout.devices, lines, strict=False)
    }
    missing["CPU"] = lines[-1].total + host_reserve(machine) - lines[-1].free
    return {device: size for device, size in missing.items() if size > 0}
