"""Sharing contiguous layers out over devices. Pure arithmetic; knows no model and no machine.

`sizes` are bytes of the layers, front to back; `room` is bytes per device, in the order in which they get layers.
Without `shares` every device takes what fits; `shares` are proportions that must be kept.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise

_STEPS = 20


def fill(sizes: Sequence[float], room: Sequence[float], shares: Sequence[float] | None = None) -> tuple[int, ...]:
    """Layers per device for as many layers, counted from the back, as there is room for."""
    sums = [0.0, *accumulate(sizes)]
    if shares is not None:
        return _fill_by_shares(sums, room, shares)
    counts, end = [], len(sizes)
    for size in reversed(room):
        start = bisect_left(sums, sums[end] - max(0.0, size), hi=end)
        counts.append(end - start)
        end = start
    return tuple(reversed(counts))


def _fill_by_shares(sums: list[float], room: Sequence[float], shares: Sequence[float]) -> tuple[int, ...]:
    last = len(sums) - 1
    for total in range(last, 0, -1):
        counts = apportion(total, shares)
        spans = pairwise(accumulate(counts, initial=last - total))
        if all(sums[end] - sums[start] <= size for (start, end), size in zip(spans, room, strict=True)):
            return counts
    return (0,) * len(shares)


def apportion(total: int, shares: Sequence[float]) -> tuple[int, ...]:
    """Layers per device as llama.cpp reads proportions: layer i of n goes to the first cumulated share above i/n."""
    whole = sum(shares)
    bounds = [bound / whole for bound in accumulate(shares)]
    counts = [0] * len(shares)
    for layer in range(total):
        counts[min(bisect_right(bounds, layer / total), len(shares) - 1)] += 1
    return tuple(counts)


def fill_evenly(sizes: Sequence[float], room: Sequence[float], ranks: Sequence[int]) -> tuple[int, ...]:
    """All layers, for which there must be room: devices of rank 0 are filled before those of rank 1, equal ones alike.

    The lowest level to which all devices must be filled, rank by rank, is found by bisection.
    """
    low, high = 0.0, 1.0 + max(ranks)
    best = fill(sizes, room)
    for _ in range(_STEPS):
        level = (low + high) / 2
        counts = fill(sizes, [size * min(1.0, max(0.0, level - rank)) for size, rank in zip(room, ranks, strict=True)])
        if sum(counts) == len(sizes):
            high, best = level, counts
        else:
            low = level
    return best


def fill_front(sizes: Sequence[float], room: Sequence[float]) -> tuple[int, ...]:
    """From the front what fits on each device; the last one gets the rest, fit or not."""
    counts = fill(sizes[::-1], room[::-1])[::-1]
    return *counts[:-1], len(sizes) - sum(counts[:-1])


def fill_partly(
    fixed: Sequence[float], optional: Sequence[float], room: Sequence[float], shares: Sequence[float] | None = None
) -> tuple[int, ...]:
    """Layers per device when only their `fixed` bytes must fit, leaving room for an equal part of every `optional`."""
    best = fill(fixed, room, shares)
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        part = (low + high) / 2
        counts = fill([base + part * more for base, more in zip(fixed, optional, strict=True)], room, shares)
        if sum(counts) == sum(best):
            low, best = part, counts
        else:
            high = part
    return best
