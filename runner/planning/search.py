"""The fastest way to run a model on a machine for given settings, or the largest context. Pure.

Every layout that `runner.planning.layouts` offers is weighed: its ledger, and its predicted speed. Of those that
overdraw nothing the one with the best decode speed wins, after a few layers more or less on each device were tried.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, product

from runner.cost.blocks import Block
from runner.cost.forecast import predict
from runner.cost.kv import ContextSettings
from runner.cost.layout import HOST, Layout
from runner.cost.ledger import rows, shortages
from runner.planning.layouts import FEW_DEVICES, Layouts
from runner.types.plan import MemoryRow, Predicted

_POLISHED = 3
_WORTH_IT = 1.0001  # below that, an even distribution is left alone
_ROUNDS = 24  # of polishing one device; more devices have more neighbours each
_FEW_APART = 8  # layers taken apart, up to which trading their parts is worth a try
_STEPS = (-4, -2, -1, 1, 2, 4)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A layout with its consequences; `missing` are the bytes by which devices are overdrawn."""

    settings: ContextSettings
    layout: Layout
    memory: tuple[MemoryRow, ...]
    predicted: Predicted
    missing: Mapping[str, int]

    @property
    def score(self) -> tuple[float, int, float]:
        """Better is larger: decode speed, then fewer devices, then prefill speed."""
        return self.predicted.decode_tps, -len(self.layout.devices), self.predicted.prefill_tps


@dataclass(frozen=True, slots=True)
class Search(Layouts):
    """Weighs the ways to lay out one model on one machine."""

    def best(self, settings: ContextSettings) -> Proposal | None:
        """The fastest layout that fits; None if none does."""
        if not self.may_fit(settings):
            return None
        by_devices: dict[tuple[str, ...], Proposal] = {}
        for item in self._fitting(settings, self.layouts(settings)):
            ids = tuple(device.id for device in item.layout.devices)
            by_devices[ids] = max(by_devices.get(ids, item), item, key=_score)
        ranking = sorted(by_devices.values(), key=_score, reverse=True)
        worth_it = ranking[: _POLISHED if len(self.machine.devices) <= FEW_DEVICES else 1]
        best = max(map(self._polished, worth_it), key=_score, default=None)
        return best and self._traded(best)

    def _traded(self, best: Proposal) -> Proposal:
        """Better if one layer's parts leave the host for a device that gives up fewer of another layer in exchange."""
        if not 1 < len(best.layout.touched) <= _FEW_APART or self.shares is not None:
            return best
        fitting = self._fitting(best.settings, _trades(best.layout, self.blocks.layers))
        return max([best, *fitting], key=_score)

    def _fitting(self, settings: ContextSettings, layouts: Iterable[Layout]) -> Iterator[Proposal]:
        weighed = (self.weigh(settings, layout) for layout in layouts)
        return (item for item in weighed if not item.missing)

    def _polished(self, best: Proposal) -> Proposal:
        """The best that can be reached by moving a few layers from device to device, step by step."""
        for _ in range(_ROUNDS // max(1, len(best.layout.devices))):
            tried = (self.arranged(best.settings, best.layout.devices, c) for c in self._neighbours(best.layout))
            fitting = self._fitting(best.settings, chain.from_iterable(tried))
            better = max(fitting, key=_score, default=best)
            if better.predicted.decode_tps < _WORTH_IT * best.predicted.decode_tps:
                break
            best = better
        return best

    def _neighbours(self, layout: Layout) -> Iterator[tuple[int, ...]]:
        """Layer counts with some layers moved across one boundary. Caches do not leave the devices for experts."""
        if self.shares is not None:
            return
        counts = layout.counts
        last = len(counts) - 1
        for boundary in range(1 if self.blocks.shape.experts else 0, last + 1):
            for step in _STEPS:
                moved = list(counts)
                moved[boundary] += step
                if boundary:
                    moved[boundary - 1] -= step
                if min(moved) > 0 and sum(moved) <= len(layout.layers):
                    yield tuple(moved)

    def weigh(self, settings: ContextSettings, layout: Layout) -> Proposal:
        """The ledger and the speed of a layout."""
        memory = rows(self.blocks, layout, settings, self.machine)
        missing = shortages(self._with_extra(memory), layout, self.machine, self.margin)
        return Proposal(settings, layout, memory, predict(self.blocks, layout, settings, self.machine), missing)

    def _with_extra(self, memory: Sequence[MemoryRow]) -> list[MemoryRow]:
        return [replace(row, compute=row.compute + self.extra.get(row.device, 0)) for row in memory]

    def is_whole(self, settings: ContextSettings) -> bool:
        """Whether all layers and their KV caches fit on devices."""
        found = chain.from_iterable(self.whole(settings, devices) for devices in self.device_sets())
        return any(not self.weigh(settings, layout).missing for layout in found)

    def largest_whole(self, settings: ContextSettings) -> int:
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

    def with_layers(self, settings: ContextSettings, count: int) -> Proposal:
        """The fastest way to have exactly the last `count` layers on devices, in proportion to memory if none fits."""
        sets = self.device_sets() if count else []
        found = chain.from_iterable(self.whole(settings, devices, count) for devices in sets)
        forced = self.overdrawn(self.machine.devices, count)
        fitting = self._fitting(settings, found)
        return max(fitting, key=_score, default=None) or self.weigh(settings, forced)


def _trades(layout: Layout, blocks: Sequence[Block]) -> Iterator[Layout]:
    """Layouts in which a layer that is partly on the host moves to another device whole, and one there gives way.

    Greedy filling leaves a part of one layer behind on every device; packed together they take apart fewer layers.
    """
    partial = sorted(layout.touched)
    for layer, target in product(partial, range(len(layout.devices))):
        guests = {key: target for key, to in layout.moved.items() if key[0] == layer and to == HOST}
        for other in partial:
            if other == layer or layout.layers[other] != target:
                continue
            stems = tuple(blocks[other].movable)
            for count in range(len(stems)):
                for leaving in combinations(stems, count):
                    kept = {key: to for key, to in layout.moved.items() if key[0] != other and key not in guests}
                    gone = {(other, stem): HOST for stem in leaving}
                    moved = {**kept, **guests, **gone}
                    yield replace(layout, moved={k: to for k, to in moved.items() if to != layout.layers[k[0]]})


def _score(proposal: Proposal) -> tuple[float, int, float]:
    return proposal.score
