"""The numbers behind the bars."""

from dataclasses import replace

import pytest

from runner.types.drafts import DraftKind
from runner.types.engine import ComponentBytes, Loaded
from runner.types.machine import Device, Kind, Lent, Machine, Road
from runner.types.placement import Companion, Placement
from runner.types.plan import CompanionPlan, Plan
from runner.types.sample import DeviceSample, Sample
from runner.types.units import GIB
from scripts.draw.plans import gibibytes, helped_plan, large_plan, small_plan
from scripts.draw.scripted import ScriptedSession
from tui.view.meters import Use, as_planned, live
from tui.widgets.memory import MemoryBars

SESSION = ScriptedSession(large_plan(), 3)
MACHINE = SESSION.plan.machine


def test_a_plan_promises_what_its_rows_say() -> None:
    for meter, row in zip(as_planned(SESSION.candidate, MACHINE), SESSION.candidate.memory, strict=True):
        assert meter.parts[Use.WEIGHTS] == row.weights
        assert meter.kv == row.kv
        assert meter.parts[Use.FREE] == row.free_after
        assert sum(meter.parts.values()) == meter.total


@pytest.mark.parametrize("used", [0, 100, 4096, 8192, 99_999])
def test_live_bars_add_up_and_fill(used: int) -> None:
    meters = live(SESSION.candidate, MACHINE, SESSION.loaded, SESSION.sample(), used)
    assert [meter.device for meter in meters] == ["CUDA0", "CUDA1", "CPU"]
    for meter, held in zip(meters, SESSION.loaded.memory, strict=True):
        assert sum(meter.parts.values()) == meter.total
        assert meter.kv == held.kv
        assert meter.parts[Use.KV_USED] == round(held.kv * min(1.0, used / 8192))


def test_other_processes_are_what_is_left_of_used() -> None:
    meter = live(SESSION.candidate, MACHINE, SESSION.loaded, SESSION.sample(), 0)[0]
    assert meter.parts[Use.OTHER] == gibibytes(0.7) + SESSION.candidate.memory[0].overhead


def test_a_driver_that_says_nothing_is_not_zero() -> None:
    sample = replace(SESSION.sample(), devices=(DeviceSample("CUDA0", gibibytes(24), None),))
    first, second, _ = live(SESSION.candidate, MACHINE, SESSION.loaded, sample, 0)
    assert not first.other_known
    assert not second.other_known
    assert second.sample is None
    assert second.total == gibibytes(24)


@pytest.mark.parametrize("kind", [DraftKind.MODEL, DraftKind.MTP])
def test_a_companion_has_a_part_of_its_own(kind: DraftKind) -> None:
    """All that it takes, as the ledger has it, and none of it with the model's; heads are among the model's weights."""
    plan = helped_plan()
    plan = replace(plan, candidates=(replace(plan.candidates[3], companions=(plan_of(plan, kind),)),), chosen=0)
    session = ScriptedSession(plan, 0)
    (companion,), loaded = session.candidate.companions, session.loaded
    if kind is DraftKind.MTP:
        own = {row.device: row.weights for row in companion.memory}
        memory = tuple(replace(row, weights=row.weights + own.get(row.device, 0)) for row in loaded.memory)
        loaded = replace(loaded, memory=memory, companion=tuple(replace(row, weights=0) for row in loaded.companion))
    planned = {meter.device: meter for meter in as_planned(session.candidate, MACHINE)}
    now = {meter.device: meter for meter in live(session.candidate, MACHINE, loaded, session.sample(), 4096)}
    takes = {row.device: row.held for row in companion.memory}
    rows = {row.device: row for row in session.candidate.memory}
    assert takes.keys() == {"CUDA0", "CPU"}
    for device, row in rows.items():
        less = next((one for one in companion.memory if one.device == device), ComponentBytes(device, 0, 0, 0))
        for meter in (planned[device], now[device]):
            assert meter.parts[Use.COMPANION] == takes.get(device, 0)
            assert meter.parts[Use.WEIGHTS] == row.weights - less.weights and meter.kv == row.kv - less.kv
            assert meter.parts[Use.COMPUTE] == row.compute - less.compute
            assert sum(meter.parts.values()) == meter.total
    bars = MemoryBars()
    bars.meters = list(now.values())
    assert [line.plain.count("╬ companion") for line in bars.lines(120) if "weights" in line.plain] == [1, 0, 1]


def plan_of(plan: Plan, kind: DraftKind) -> CompanionPlan:
    (companion,) = plan.candidates[3].companions
    return replace(companion, kind=kind)


def test_mapped_weights_of_a_companion_are_too() -> None:
    session = ScriptedSession(small_plan(), 0)
    sample, small = Sample((), 10 * GIB, 8 * GIB), Placement((), 0, 17, (), 8192, load_mode="mmap")
    placement = replace(session.placement, companion=Companion(DraftKind.MODEL, "small.gguf", small))
    loaded = Loaded(8192, 1.0, (ComponentBytes("CPU", GIB, 0, 0),), "", companion=(ComponentBytes("CPU", GIB, GIB, 0),))
    for mode, other in (("mmap", GIB), ("none", 0)):
        candidate = replace(session.candidate, placement=replace(placement, load_mode=mode))
        (bar,) = live(candidate, session.plan.machine, loaded, sample, 0)
        assert (bar.parts[Use.COMPANION], bar.parts[Use.WEIGHTS], bar.parts[Use.OTHER]) == (2 * GIB, GIB, other)


def test_mapped_weights_are_taken_from_what_is_free() -> None:
    session = ScriptedSession(small_plan(), 0)
    sample = Sample((), 10 * GIB, 8 * GIB)
    loaded = Loaded(8192, 1.0, (ComponentBytes("CPU", GIB, GIB, 0),), "")
    [mapped] = live(session.candidate, session.plan.machine, loaded, sample, 0)
    assert mapped.parts[Use.OTHER] == GIB
    assert mapped.parts[Use.FREE] == 7 * GIB
    placement = replace(session.placement, load_mode="none")
    candidate = replace(session.candidate, placement=placement)
    [private] = live(candidate, session.plan.machine, loaded, sample, 0)
    assert private.parts[Use.OTHER] == 0
    assert private.parts[Use.FREE] == 8 * GIB


def test_shared_memory_is_one_bar() -> None:
    igpu = Device("MTL0", Kind.IGPU, "Apple M3", gibibytes(24), gibibytes(18), shares_host_memory=True)
    machine = Machine("probe", (igpu,), gibibytes(24), gibibytes(18), 100e9, 8)
    loaded = Loaded(
        4096,
        1.0,
        (
            ComponentBytes("MTL0", gibibytes(4), gibibytes(1), gibibytes(0.5)),
            ComponentBytes("CPU", gibibytes(0.5), 0, 0),
        ),
        "",
    )
    [only] = live(SESSION.candidate, machine, loaded, Sample((), gibibytes(24), gibibytes(12)), 0)
    assert only.device == "CPU"
    assert only.parts[Use.WEIGHTS] == gibibytes(4) + gibibytes(0.5)
    assert sum(only.parts.values()) == only.total


def test_another_machines_bar_says_whose_it_is_and_how_far_away() -> None:
    lent = Lent("tower:50052", "CUDA0", host="tower", road=Road(0.2e-3, 117.5e6))
    first, *others = MACHINE.devices
    machine = replace(MACHINE, devices=(replace(first, kind=Kind.RPC, lent=lent), *others))
    now = replace(SESSION.sample(), devices=(DeviceSample(first.id, first.total, None, traffic=12_340_000),))
    bars = MemoryBars()
    bars.meters = live(SESSION.candidate, machine, SESSION.loaded, now, 0)
    drawn = "\n".join(line.plain for line in bars.lines(120))
    assert "tower (tower:50052): RTX 3090" in drawn and "network 0.20 ms · 118 MB/s · 12.3 MB" in drawn
    assert "tower" in "\n".join(line.plain for line in bars.lines(51)), "its name is cut last"
    bars.meters = as_planned(SESSION.candidate, machine)
    assert "network 0.20 ms · 118 MB/s" in "\n".join(line.plain for line in bars.lines(120))
