"""The fastest way to run a model on a machine for given settings, or the largest context. Pure.

Every layout that `runner.planning.layouts` offers is weighed: its ledger, and how long requests would take. Of
those that overdraw nothing the one with the shortest requests (`runner.planning.mix`) wins, after a few layers more or
less on each device were tried; then longer ubatches are, and other ways for the host's weights to reach a GPU.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, permutations
from operator import attrgetter

from runner.cost.blocks import Block
from runner.cost.forecast import Forecast, forecast
from runner.cost.kv import ContextSettings
from runner.cost.layout import HOST, Layout
from runner.cost.ledger import rows, shortages
from runner.planning.layouts import arranged, layouts, on_devices, overdrawn, some_of
from runner.planning.mix import wait_for
from runner.planning.offload import with_offload
from runner.planning.problem import FEW_DEVICES, Problem
from runner.types.exchange import Wait
from runner.types.plan import MemoryRow, Predicted

_POLISHED = 3
_WORTH_IT = 0.9999  # of the time; for less gain, an even distribution is left alone
_ROUNDS = 24  # of polishing one device; more devices have more neighbours each
_FEW_APART = 8  # layers taken apart, up to which trading their parts is worth a try
_STEPS = (-4, -2, -1, 1, 2, 4)
_ONE_MORE = (1,)
_A_DEVICE = 0.1  # of the time, that a further device has to save where fewer hold it all: it may have other work
_EXPERIMENTAL = 1.15  # times as long as it takes: what llama.cpp calls so has to be clearly faster
_LONGER_UBATCHES = (1024, 2048, 4096)
_WORTH_A_UBATCH = 0.97  # of the time


@dataclass(frozen=True, slots=True)
class Proposal:
    """A layout with its consequences; `missing` are the bytes by which devices are overdrawn."""

    settings: ContextSettings
    layout: Layout
    memory: tuple[MemoryRow, ...]
    speeds: Forecast
    wait: Wait
    missing: Mapping[str, int]

    @property
    def seconds(self) -> float:
        """That a request takes in the mean."""
        return self.wait.seconds

    @property
    def predicted(self) -> Predicted:
        """What is said of its speed."""
        return self.speeds.predicted()

    @property
    def score(self) -> tuple[float, int]:
        """Better is larger: less time for the mix of requests, by more than what it costs in other ways."""
        devices = len(self.layout.devices)
        whole = 1 + _A_DEVICE * devices if self.layout.is_whole else 1
        return -self.seconds * whole * (_EXPERIMENTAL if self.layout.is_by_tensor else 1), -devices


def weigh(problem: Problem, settings: ContextSettings, layout: Layout) -> Proposal:
    """The ledger and the speed of a layout."""
    return _timed(problem, settings, layout, *_ledger(problem, settings, layout))


_Ledger = tuple[tuple[MemoryRow, ...], Mapping[str, int]]


def _ledger(problem: Problem, settings: ContextSettings, layout: Layout) -> _Ledger:
    memory = rows(problem.blocks, layout, settings, problem.machine)
    charged = [replace(row, compute=row.compute + problem.extra.get(row.device, 0)) for row in memory]
    return memory, shortages(charged, layout, problem.machine, problem.margin)


def _timed(
    problem: Problem,
    settings: ContextSettings,
    layout: Layout,
    memory: tuple[MemoryRow, ...],
    missing: Mapping[str, int],
) -> Proposal:
    speeds = forecast(problem.blocks, layout, settings, problem.machine)
    return Proposal(settings, layout, memory, speeds, wait_for(problem.mix(settings), speeds), missing)


def _fitting(problem: Problem, settings: ContextSettings, found: Iterable[Layout]) -> Iterator[Proposal]:
    """Of the layouts that overdraw nothing; only their requests are timed."""
    for layout in found:
        memory, missing = _ledger(problem, settings, layout)
        if not missing:
            yield _timed(problem, settings, layout, memory, missing)


_score = attrgetter("score")


# ---- the fastest layout


def with_longer_ubatches(problem: Problem, found: Proposal) -> Proposal:
    """The same or a longer ubatch with the layout that goes with it, where long prompts gain more than others lose.

    A longer ubatch takes a layer's room for its compute buffers, and copies the host's weights fewer times.
    """
    for ubatch in _LONGER_UBATCHES:
        settings = replace(found.settings, ubatch=ubatch)
        bound = _WORTH_A_UBATCH * found.seconds
        if ubatch > settings.ctx or weigh(problem, settings, found.layout).seconds > bound:
            break  # not even if it took no memory
        longer = best(problem, settings)
        if longer is None or longer.seconds > bound or (found.layout.is_whole and not longer.layout.is_whole):
            break
        found = longer
    return found


def best(problem: Problem, settings: ContextSettings, polished: int = _POLISHED) -> Proposal | None:
    """The fastest layout that fits; None if none does. Of the best sets of few devices so many are `polished`."""
    if not problem.may_fit(settings):
        return None
    by_devices: dict[tuple[bool, tuple[str, ...]], Proposal] = {}
    for item in _fitting(problem, settings, layouts(problem, settings)):
        ids = item.layout.is_by_tensor, tuple(device.id for device in item.layout.devices)
        by_devices[ids] = max(by_devices.get(ids, item), item, key=_score)
    ranking = sorted(by_devices.values(), key=_score, reverse=True)
    worth_it = ranking[: polished if len(problem.machine.devices) <= FEW_DEVICES else 1]
    fastest = max((_polished(problem, item) for item in worth_it), key=_score, default=None)
    return fastest and _transferred(problem, _traded(problem, fastest))


def _transferred(problem: Problem, found: Proposal) -> Proposal:
    """With the best way for the host's weights to reach a GPU."""
    speeds = with_offload(found.speeds, found.wait.mix, found.memory[-1].weights)
    return replace(found, speeds=speeds, wait=wait_for(found.wait.mix, speeds))


def _polished(problem: Problem, start: Proposal) -> Proposal:
    """The best that can be reached by moving a few layers from device to device, step by step."""
    found, settings, devices = start, start.settings, start.layout.devices
    for _ in range(_ROUNDS // max(1, len(devices))):
        tried = (arranged(problem, settings, devices, counts) for counts in _neighbours(problem, found.layout))
        better = max(_fitting(problem, settings, chain.from_iterable(tried)), key=_score, default=found)
        if better.seconds > _WORTH_IT * found.seconds:
            break
        found = better
    return found


def _neighbours(problem: Problem, layout: Layout) -> Iterator[tuple[int, ...]]:
    """Layer counts with some layers moved across one boundary. Caches do not leave the devices for experts."""
    if problem.shares is not None or layout.is_by_tensor:
        return
    counts = layout.counts
    for boundary in range(len(counts)):
        keeps_caches = boundary == 0 and problem.blocks.shape.experts > 0  # boundary 0 is the host's
        for step in _ONE_MORE if keeps_caches else _STEPS:
            moved = list(counts)
            moved[boundary] += step
            if boundary:
                moved[boundary - 1] -= step
            if min(moved) > 0 and sum(moved) <= len(layout.layers):
                yield tuple(moved)


def _traded(problem: Problem, found: Proposal) -> Proposal:
    """Better if one layer's parts leave the host for a device that gives up fewer of another layer in exchange."""
    if not 1 < len(found.layout.touched) <= _FEW_APART or problem.shares is not None:
        return found
    fitting = _fitting(problem, found.settings, _trades(found.layout, problem.blocks.layers))
    return max([found, *fitting], key=_score)


def _trades(layout: Layout, blocks: Sequence[Block]) -> Iterator[Layout]:
    """Layouts in which a layer that is partly on the host becomes whole again where another one gives way.

    Greedy filling leaves a part of one layer behind on every device; packed together they take apart fewer layers.
    """
    for mended, giving in permutations(sorted(layout.touched), 2):
        for leaving in some_of(blocks[giving]):
            yield _trade(layout, mended, giving, leaving)


def _trade(layout: Layout, mended: int, giving: int, leaving: Iterable[str]) -> Layout:
    """The parts of layer `mended` go to the device of layer `giving`, whose own parts `leaving` go to the host."""
    target = layout.layers[giving]
    moved = {key: to for key, to in layout.moved.items() if key[0] != giving}
    moved |= {key: target for key, to in moved.items() if key[0] == mended and to == HOST}
    moved |= {(giving, stem): HOST for stem in leaving}
    return replace(layout, moved={key: to for key, to in moved.items() if to != layout.layers[key[0]]})


# ---- how much fits


def largest_whole(problem: Problem, settings: ContextSettings) -> int:
    """The largest context, a multiple of 256 up to the trained length, with everything on devices; 0 if none."""
    contexts = range(256, max(1, problem.trained // 256) * 256 + 1, 256)

    def is_too_long(ctx: int) -> bool:
        return not _is_whole(problem, replace(settings, ctx=ctx))

    if not is_too_long(contexts[-1]):
        return contexts[-1]
    return 256 * bisect_left(contexts, True, hi=len(contexts) - 1, key=is_too_long)


def _is_whole(problem: Problem, settings: ContextSettings) -> bool:
    """Whether all layers and their KV caches fit on devices."""
    found = chain.from_iterable(on_devices(problem, settings, devices) for devices in problem.device_sets())
    return any(not weigh(problem, settings, layout).missing for layout in found)


def with_layers(problem: Problem, settings: ContextSettings, count: int) -> Proposal:
    """The fastest way to have exactly the last `count` layers on devices, in proportion to memory if none fits."""
    sets = problem.device_sets() if count else []
    found = chain.from_iterable(on_devices(problem, settings, devices, count) for devices in sets)
    fastest = max(_fitting(problem, settings, found), key=_score, default=None)
    return fastest or weigh(problem, settings, overdrawn(problem, problem.machine.devices, count))


def most_layers(problem: Problem, settings: ContextSettings, limit: int) -> int:
    """The most layers below `limit`, which does not fit, that devices have room for; 0 if RAM has none for the rest."""

    def is_too_many(count: int) -> bool:
        return bool(with_layers(problem, settings, count).missing.keys() - {"CPU"})

    most = bisect_left(range(1, limit), True, key=is_too_many)
    return 0 if with_layers(problem, settings, most).missing else most
