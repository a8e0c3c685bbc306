"""The likeliest cause of slow decoding, of those that two measurements of strain show. Pure.

Causes that explain much of it for certain come first; what only may be a cause comes last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from runner.types.engine import Loaded
from runner.types.placement import Placement
from runner.types.sample import ProcessTime, Strain, Throttle
from runner.types.slowness import (
    BandwidthShared,
    Cause,
    CoresTaken,
    DeviceShared,
    DiskReads,
    DriverSpill,
    FewerCores,
    LongContext,
    OnBattery,
    Swapping,
    Throttled,
)
from runner.types.units import MIB

_READS = 8 * MIB  # per second: a prompt's or a log's are less, weights that are read for each token are more
_FAULTS = 100.0  # pages per second that had to be waited for
_FULL = 0.99  # of a GPU's memory
_HELD = 0.1  # of the time, by a quota
_BUSY = 0.5  # cores that another process uses
_CROWDED = 0.85  # of its threads' time is what an engine gets that waits for cores; alone its threads never sleep
_LONG = 3  # times the depth that was predicted for


@dataclass(frozen=True, slots=True)
class Workload:
    """What the engine does: with so many threads on the host (0: nothing), so many bytes on each device.

    `tokens` are in its context, `predicted_at` were assumed.
    """

    threads: int
    held: Mapping[str, int]
    tokens: int
    predicted_at: int


def work_of(placement: Placement, loaded: Loaded, tokens: int, predicted_at: int) -> Workload:
    """The work of a loaded model."""
    on_host = placement.gpu_layers < placement.layers_total or bool(placement.overrides)
    held = {row.device: row.held for row in loaded.held}
    return Workload(placement.threads if on_host else 0, held, tokens, predicted_at)


def likeliest(before: Strain, after: Strain, work: Workload) -> Cause | None:
    """The first that is seen; None where nothing is."""
    return next(_seen(before, after, work), None)


def _seen(before: Strain, after: Strain, work: Workload) -> Iterator[Cause]:
    passed = max(after.at - before.at, 1e-3)
    yield from _spilled(after, work)
    yield from _from_disk(before, after, passed)
    yield from _throttled(before, after, Throttle.HEAT)
    yield from (DeviceShared(one.device, one.others[0].claim) for one in after.devices if one.others)
    yield from _throttled(before, after, Throttle.POWER)
    if work.threads:
        yield from _cores(before, after, passed, work.threads)
    if after.on_battery:
        yield OnBattery()
    if work.tokens > _LONG * work.predicted_at:
        yield LongContext(work.tokens, work.predicted_at)


def _spilled(after: Strain, work: Workload) -> Iterator[Cause]:
    """A GPU that is full to the brim, or holds less than was put there."""
    for one in after.devices if after.spills else ():
        if one.used is not None and (one.used < work.held.get(one.device, 0) or one.used > _FULL * one.total):
            yield DriverSpill(one.device)


def _from_disk(before: Strain, after: Strain, passed: float) -> Iterator[Cause]:
    """Swapped memory counts as read from disk, too."""
    swapped = (after.swapped_in - before.swapped_in) / passed
    read = _rate(before.engine.disk_read, after.engine.disk_read, passed)
    faults = _rate(before.engine.major_faults, after.engine.major_faults, passed)
    if swapped > max(_READS, (read or 0.0) / 2):
        yield Swapping(swapped)
    elif read is not None and read > _READS:
        yield DiskReads(read)
    elif faults is not None and faults > _FAULTS:
        yield DiskReads(None)


def _rate(before: int | None, after: int | None, passed: float) -> float | None:
    return None if before is None or after is None else (after - before) / passed


def _throttled(before: Strain, after: Strain, why: Throttle) -> Iterator[Cause]:
    """Devices whose clocks were down at both ends; the processor, where it slowed down in between."""
    pairs = zip(before.devices, after.devices, strict=True)
    yield from (Throttled(new.device, why) for old, new in pairs if why in old.throttled and why in new.throttled)
    if why is Throttle.HEAT and after.overheated > before.overheated:
        yield Throttled("CPU", why)


def _cores(before: Strain, after: Strain, passed: float, threads: int) -> Iterator[Cause]:
    """Cores that the engine may not use, or that others use."""
    engine = after.engine
    if engine.cores < threads or engine.held_s - before.engine.held_s > _HELD * passed:
        yield FewerCores(min(engine.cores, threads), threads)
    used = {one.pid: one.cpu_s for one in before.others}
    spent = [(one, (one.cpu_s - used.get(one.pid, 0.0)) / passed) for one in after.others]
    busy = sum(cores for _, cores in spent)
    if busy > _BUSY:
        most: ProcessTime = max(spent, key=lambda pair: pair[1])[0]
        got = (engine.cpu_s - before.engine.cpu_s) / (passed * threads)
        yield (CoresTaken if got < _CROWDED else BandwidthShared)(most.name, most.pid, busy)
