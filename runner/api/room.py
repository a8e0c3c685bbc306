"""Room for one more model: what is left beside those that are loaded, and which of them have to go. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from runner.client.session import Running
from runner.types.machine import Machine
from runner.types.plan import Candidate, Plan, Verdict

_QUICKER = 1.25  # times; less of a gain is not worth to load a model again
_LONGER = 2  # times the context
_FINER = 1.2  # times the bits of a weight
_RANKS = (Verdict.NO, Verdict.CPU, Verdict.SPLIT, Verdict.GPU)


def mapped_bytes(running: Running) -> int:
    """Bytes of a model's file that the host has in memory, and that the system counts as available."""
    if running.placement.load_mode != "mmap":
        return 0
    return sum(row.weights for row in running.loaded.memory if row.device == "CPU")


def held_bytes(running: Running) -> int:
    """Bytes of a model on all devices together."""
    return sum(row.held for row in running.loaded.memory)


def without(machine: Machine, gone: Sequence[Running]) -> Machine:
    """The machine as it would be if these were not loaded."""
    held: dict[str, int] = {}
    for running in gone:
        for row in running.loaded.memory:
            held[row.device] = held.get(row.device, 0) + row.held
        for planned in running.candidate.memory:
            held[planned.device] = held.get(planned.device, 0) + planned.overhead
    shared = sum(held.get(device.id, 0) for device in machine.devices if device.shares_host_memory)
    return replace(
        machine,
        devices=tuple(replace(one, free=min(one.total, one.free + held.get(one.id, 0))) for one in machine.devices),
        ram_available=min(machine.ram_total, machine.ram_available + held.get("CPU", 0) + shared),
    )


def fewest_gone(plan_without: Callable[[int], Plan], most: int) -> tuple[int, Plan]:
    """How many models to unload of `most` that may be, and the plan then: as few as make no plan clearly worse."""
    plan = plan_without(0)
    if not most:
        return 0, plan
    best = plan_without(most)
    for count in range(most):
        plan = plan if count == 0 else plan_without(count)
        if not is_clearly_better(best, plan):
            return count, plan
    return most, best


def is_clearly_better(plan: Plan, other: Plan) -> bool:
    """Whether a plan is worth the load that it costs somebody later."""
    one, two = _taken(plan), _taken(other)
    if one is None or two is None:
        return two is None and one is not None
    if _RANKS.index(one.verdict) != _RANKS.index(two.verdict):
        return _RANKS.index(one.verdict) > _RANKS.index(two.verdict)
    assert one.placement is not None and two.placement is not None  # they were chosen
    waits = [candidate.wait.seconds if candidate.wait else 0.0 for candidate in (one, two)]
    return (
        waits[0] * _QUICKER < waits[1]
        or one.placement.ctx >= _LONGER * two.placement.ctx
        or one.bits_per_weight > _FINER * two.bits_per_weight
    )


def _taken(plan: Plan) -> Candidate | None:
    return None if plan.chosen is None else plan.candidates[plan.chosen]
