"""How fast a layout would run: what each device reads, handed to the speed model. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import mul

from runner.cost.blocks import Blocks, Part
from runner.cost.certainty import spread_of
from runner.cost.kv import ContextSettings
from runner.cost.layout import HOST, Layout
from runner.cost.speed import decode_tps, prefill_tps
from runner.cost.work import Prompt, Work
from runner.types.machine import Machine
from runner.types.plan import Predicted

REFERENCE_DEPTH = 2048
PROMPT_TOKENS = 512
_FFN_SHARE = 0.5  # of a layer's kernels are started for its movable parts: a guess, half for either side
# Choosing a token, per entry of the vocabulary: 0.36 ms for 128k beside an H100 (tests/data/h100.toml).
_SAMPLING_SECONDS = 2.8e-9


@dataclass(slots=True)
class _Load:
    """What a device has taken so far: all its tensors as one part, and its layers as in `Work`."""

    part: Part = field(default_factory=Part)
    layers: float = 0.0
    homes: int = 0
    routing: int = 0
    caches: list[int] = field(default_factory=list)  # layers by the kind of their cache

    def take(self, part: Part, times: int) -> None:
        """Hold this part as many times more; less where `times` is negative."""
        self.part = self.part.plus(part, times)


def predict(
    blocks: Blocks, layout: Layout, settings: ContextSettings, machine: Machine, *, pinned: bool = True
) -> Predicted:
    """Decode at the reference depth (less where the context is shorter) and prefill of 512 tokens from an empty cache.

    In tokens per second; `pinned` as in `runner.cost.work.Prompt`.
    """
    depth = min(REFERENCE_DEPTH, settings.ctx)
    prompt = Prompt(min(PROMPT_TOKENS, settings.ctx), settings.ubatch, pinned)
    loads = _loads(blocks, layout)
    work = _works(loads, blocks, layout, settings, depth)
    return Predicted(
        decode_tps=decode_tps(work, machine, layout.splits, sampling_seconds(blocks)),
        prefill_tps=prefill_tps(_works(loads, blocks, layout, settings, prompt.tokens // 2), machine, prompt),
        at_depth=depth,
        spread=spread_of(work),
    )


def sampling_seconds(blocks: Blocks) -> float:
    """What choosing a token takes on the host."""
    return _SAMPLING_SECONDS * blocks.shape.vocabulary


def work_of(blocks: Blocks, layout: Layout, settings: ContextSettings, depth: int) -> tuple[Work, ...]:
    """What each device, and the host if it computes at all, does for one token `depth` tokens into a context."""
    return _works(_loads(blocks, layout), blocks, layout, settings, depth)


_Loads = dict[int, _Load]


def _loads(blocks: Blocks, layout: Layout) -> _Loads:
    """Every layer at home first, then the parts that were moved; layers made alike are counted and added at once."""
    kinds = len(blocks.caches.kinds)
    loads = {index: _Load(caches=[0] * kinds) for index in range(HOST, len(layout.devices))}
    for (home, layer), times in Counter(zip(layout.layers, blocks.alike, strict=True)).items():
        load, whole = loads[home], blocks.layers[layer].whole
        load.take(whole, times)
        load.layers += times
        load.homes += times
        load.routing += times if whole.routed else 0
    for (home, kind), times in Counter(zip(layout.layers, blocks.caches.layers, strict=False)).items():
        loads[home].caches[kind] = times
    moves: Counter[tuple[int, str, int, int]] = Counter()
    for (layer, stem), target in layout.moved.items():
        moves[blocks.alike[layer], stem, layout.layers[layer], target] += 1
    for (layer, stem, home, target), times in moves.items():
        movable = blocks.layers[layer].movable
        loads[home].take(movable[stem], -times)
        loads[target].take(movable[stem], times)
        share = times * _FFN_SHARE / len(movable)
        loads[home].layers -= share
        loads[target].layers += share
    return loads


def _works(loads: _Loads, blocks: Blocks, layout: Layout, settings: ContextSettings, depth: int) -> tuple[Work, ...]:
    shape, caches = blocks.shape, blocks.caches
    untouched = 1 - shape.experts_used / shape.experts if shape.experts else 0.0
    read, seen = caches.read(settings, depth), caches.seen(depth)
    recurs = [1 if memory.state_values else 0 for memory in caches.kinds]
    return tuple(
        Work(
            device=None if index == HOST else layout.devices[index],
            weight_bytes=load.part.read,
            weights=load.part.weights,
            kv_bytes=_dot(load.caches, read),
            stored_bytes=load.part.bytes,
            layers=load.layers,
            homes=load.homes,
            floats=load.part.floats,
            unpack=load.part.unpack,
            slow=load.part.slow,
            attention=2 * shape.attention_width * _dot(load.caches, seen),  # scores, and their sum of values
            routed=load.part.routed,
            routed_bytes=load.part.routed_bytes,
            untouched=untouched,
            routing=load.routing,
            recurrent=_dot(load.caches, recurs),
        )
        for index, load in loads.items()
        if load.layers
    )


def _dot(counts: Sequence[int], values: Sequence[int]) -> int:
    return sum(map(mul, counts, values))
