"""Which cause is likeliest, from two measurements of a machine that is slow."""

from dataclasses import replace

import pytest

from runner.hardware.causes import Workload, likeliest, work_of
from runner.types.engine import ComponentBytes, Loaded
from runner.types.machine import Holder
from runner.types.placement import Override, Placement
from runner.types.sample import DeviceStrain, EngineUse, ProcessTime, Strain, Throttle
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
from runner.types.units import GIB, MIB

CARD = DeviceStrain("CUDA0", 24 * GIB, 20 * GIB)
BEFORE = Strain(100.0, (CARD,), EngineUse(50.0, 8.0, 0, 0))
# Ten seconds on, eight threads have had 79 of 80 seconds.
AFTER = replace(BEFORE, at=110.0, engine=EngineUse(129.0, 8.0, 0, 3))
WORK = Workload(8, {"CUDA0": 18 * GIB, "CPU": GIB}, 900, 2048)
ON_GPU = replace(WORK, threads=0)


def card(**changes: object) -> Strain:
    return replace(AFTER, devices=(replace(CARD, **changes),))  # type: ignore[arg-type]


def engine(**changes: object) -> Strain:
    return replace(AFTER, engine=replace(AFTER.engine, **changes))  # type: ignore[arg-type]


def neighbours(*seconds: float) -> Strain:
    return replace(AFTER, others=tuple(ProcessTime(n, f"program {n}", one) for n, one in enumerate(seconds)))


HOT, SATED = frozenset({Throttle.HEAT}), frozenset({Throttle.POWER})
OTHERS = (Holder(7, "blender", 3 * GIB),)


@pytest.mark.parametrize(
    ("after", "cause"),
    [
        (AFTER, None),
        (replace(card(used=24 * GIB), spills=True), DriverSpill("CUDA0")),
        (replace(card(used=17 * GIB), spills=True), DriverSpill("CUDA0")),
        (card(used=24 * GIB), None),
        (replace(AFTER, swapped_in=900 * MIB), Swapping(90 * MIB)),
        (replace(engine(disk_read=900 * MIB), swapped_in=900 * MIB), Swapping(90 * MIB)),
        (replace(engine(disk_read=900 * MIB), swapped_in=90 * MIB), DiskReads(90 * MIB)),
        (engine(disk_read=70 * MIB), None),
        (engine(disk_read=None, major_faults=5000), DiskReads(None)),
        (card(others=OTHERS), DeviceShared("CUDA0", "blender (process 7) holds 3.0 GiB")),
        (replace(AFTER, overheated=4), Throttled("CPU", Throttle.HEAT)),
        (engine(cores=4.0), FewerCores(4.0, 8)),
        (engine(held_s=1.5), FewerCores(8.0, 8)),
        (neighbours(1.0, 3.0), None),
        (neighbours(5.0, 30.0), BandwidthShared("program 1", 1, 3.5)),
        (replace(neighbours(5.0, 30.0), engine=EngineUse(110.0, 8.0, 0, 0)), CoresTaken("program 1", 1, 3.5)),
        (replace(AFTER, on_battery=True), OnBattery()),
    ],
)
def test_the_likeliest(after: Strain, cause: Cause | None) -> None:
    assert likeliest(BEFORE, after, WORK) == cause


@pytest.mark.parametrize(
    ("reasons", "why"), [(HOT, Throttle.HEAT), (SATED, Throttle.POWER), (HOT | SATED, Throttle.HEAT)]
)
def test_clocks_count_as_lowered_where_they_are_at_both_ends(reasons: frozenset[Throttle], why: Throttle) -> None:
    after = card(throttled=reasons)
    assert likeliest(BEFORE, after, WORK) is None
    assert likeliest(replace(after, at=100.0), after, WORK) == Throttled("CUDA0", why)


def test_processor_time_that_others_used_before_is_not_counted() -> None:
    before = replace(BEFORE, others=neighbours(5.0, 30.0).others)
    assert likeliest(before, neighbours(5.0, 30.0), WORK) is None


def test_cores_are_no_cause_where_all_is_on_the_gpu() -> None:
    assert likeliest(BEFORE, neighbours(5.0, 30.0), ON_GPU) is None
    assert likeliest(BEFORE, engine(cores=1.0), ON_GPU) is None


def test_a_long_context_is_the_cause_where_nothing_else_is() -> None:
    long = replace(WORK, tokens=20_000)
    assert likeliest(BEFORE, AFTER, long) == LongContext(20_000, 2048)
    assert likeliest(BEFORE, neighbours(30.0), long) == BandwidthShared("program 0", 0, 3.0)


def test_threads_work_where_something_is_on_the_host() -> None:
    loaded = Loaded(8192, 1.0, (ComponentBytes("CUDA0", 3, 2, 1), ComponentBytes("CPU", 9, 0, 0)), "")
    whole = Placement(("CUDA0",), 33, 33, (33,), 512, threads=6)
    assert work_of(whole, loaded, 10, 2048) == Workload(0, {"CUDA0": 6, "CPU": 9}, 10, 2048)
    assert work_of(replace(whole, gpu_layers=20), loaded, 10, 2048).threads == 6
    assert work_of(replace(whole, overrides=(Override("ffn", "CPU"),)), loaded, 10, 2048).threads == 6
