"""How fast a layout would run: what each device reads, handed to the speed model. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import mul

from runner.cost import roads
from runner.cost.blocks import Blocks, Part
from runner.cost.certainty import spread_of
from runner.cost.kv import ContextSettings
from runner.cost.layout import HOST, Layout
from runner.cost.speed import decode_tps, prefill_tps
from runner.cost.tensor_split import work_on_each
from runner.cost.visits import Visits, visits
from runner.cost.work import PINNED, Offload, Prefill, Work
from runner.types.exchange import Exchange
from runner.types.machine import Machine
from runner.types.plan import Predicted

REFERENCE_DEPTH = 2048
PROMPT_TOKENS = 512
_FFN_SHARE = 0.5  # of a layer's kernels are started for its movable parts: a guess, half for either side
# Choosing a token with the default chain, per entry of the vocabulary: 0.14 ms for 128k beside an H100
# (docs/measurements.md).
_SAMPLING_SECONDS = 1.06e-9


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


_Loads = dict[int, _Load]


@dataclass(frozen=True, slots=True)
class Forecast:
    """One layout's speeds with some settings on a machine, at whatever depth is asked. Made by `forecast`."""

    blocks: Blocks
    layout: Layout
    settings: ContextSettings
    machine: Machine
    loads: _Loads
    offload: Offload
    visits: tuple[Visits, ...] = ()  # of devices of other machines

    def decode_tps(self, depth: int) -> float:
        """Tokens per second of an answer with `depth` tokens behind it."""
        sampling = sampling_seconds(self.blocks)
        here = decode_tps(self._work(depth), self.machine, self.layout.splits, sampling)
        if not self.visits:
            return here
        return 1 / (1 / here + roads.decode_seconds(self.blocks, self.visits, depth))

    def prefill_tps(self, tokens: int, depth: int = 0) -> float:
        """Tokens per second of a prompt that is read behind `depth` others."""
        prompt = Prefill(tokens, self.settings.ubatch, self.offload)
        here = prefill_tps(self._work(depth + tokens // 2), self.machine, prompt)
        if not self.visits:
            return here
        between = roads.prefill_seconds(self.blocks, self.visits, prompt.batch, depth + tokens // 2)
        return prompt.batch / (prompt.batch / here + between)

    def prompt_seconds(self, asked: Exchange) -> float:
        """Until the prompt is read."""
        return asked.prompt / self.prefill_tps(asked.prompt, asked.depth)

    def answer_seconds(self, asked: Exchange) -> float:
        """From there to the end of the answer."""
        return asked.answer / self.decode_tps(asked.depth + asked.prompt + asked.answer // 2)

    def predicted(self) -> Predicted:
        """Decode at the reference depth (less where the context is shorter), prefill of 512 tokens at depth 0."""
        depth = min(REFERENCE_DEPTH, self.settings.ctx)
        prefill = self.prefill_tps(min(PROMPT_TOKENS, self.settings.ctx))
        return Predicted(self.decode_tps(depth), prefill, depth, spread_of(self._work(depth)))

    def _work(self, depth: int) -> tuple[Work, ...]:
        return _works(self.loads, self.blocks, self.layout, self.settings, depth)


def forecast(
    blocks: Blocks, layout: Layout, settings: ContextSettings, machine: Machine, offload: Offload = PINNED
) -> Forecast:
    """What every device reads is counted once, for all depths."""
    return Forecast(blocks, layout, settings, machine, _loads(blocks, layout), offload, visits(layout))


def sampling_seconds(blocks: Blocks) -> float:
    """What choosing a token takes on the host."""
    return _SAMPLING_SECONDS * blocks.shape.vocabulary


def work_of(blocks: Blocks, layout: Layout, settings: ContextSettings, depth: int) -> tuple[Work, ...]:
    """What each device, and the host if it computes at all, does for one token `depth` tokens into a context."""
    return _works(_loads(blocks, layout), blocks, layout, settings, depth)


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
    found = tuple(
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
    return work_on_each(blocks, found[0], layout.devices) if layout.is_by_tensor else found


def _dot(counts: Sequence[int], values: Sequence[int]) -> int:
    return sum(map(mul, counts, values))
