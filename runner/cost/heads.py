"""What a model's own heads take, which predict further tokens: weights, and a context of their own. Pure.

The last blocks are loaded like other layers (llama-model.cpp: load_tensors), and a second context of type MTP has their
caches. Its compute buffers are about those of the model itself on that device: both are widest in one layer of the same
ubatch. A rehearsal knows better, and the plan takes its word.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from runner.cost.blocks import Blocks
from runner.cost.kv import ContextSettings, head_caches_of
from runner.cost.layout import HOST, Layout
from runner.types.engine import ComponentBytes
from runner.types.plan import MemoryRow


@dataclass(frozen=True, slots=True)
class HeadBytes:
    """Bytes by device index, the host as HOST; all empty where heads are not loaded."""

    weights: Mapping[int, int]
    kv: Mapping[int, int]
    compute: Mapping[int, int]


NO_HEADS = HeadBytes({}, {}, {})


def head_bytes(blocks: Blocks, layout: Layout, settings: ContextSettings, compute: Mapping[int, int]) -> HeadBytes:
    """What heads take beside a layout whose own compute buffers are these."""
    if not settings.heads or not blocks.heads:
        return NO_HEADS
    weights: dict[int, int] = {}
    kv: dict[int, int] = {}
    homes = layout.layers[-1 - len(blocks.heads) : -1]
    for home, part, cache in zip(homes, blocks.heads, head_caches_of(blocks.shape).held(settings), strict=True):
        weights[home] = weights.get(home, 0) + part.bytes
        kv[home] = kv.get(home, 0) + cache
    return HeadBytes(weights, kv, {home: compute[home] for home in {*homes, HOST}})


def head_rows(
    memory: tuple[MemoryRow, ...], layout: Layout, heads: HeadBytes, said: tuple[ComponentBytes, ...] = ()
) -> tuple[MemoryRow, ...]:
    """The heads' part of the ledger `memory`; what llama.cpp `said` of their context counts before our own bytes."""
    index = {device.id: number for number, device in enumerate(layout.devices)}
    beside = {row.device: row for row in said}
    rows = []
    for row in memory:
        home = index.get(row.device, HOST)
        real = beside.get(row.device)
        kv = real.kv if real else 0 if said else heads.kv.get(home, 0)
        compute = real.compute if real else 0 if said else heads.compute.get(home, 0)
        rows.append(MemoryRow(row.device, heads.weights.get(home, 0), kv, compute, 0, row.free))
    return tuple(row for row in rows if row.held)
