"""Room for one more model: what is left beside those that are loaded, and which of them have to go. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from runner.client.session import Running
from runner.types.machine import Device, Machine
from runner.types.plan import Candidate, Plan, Verdict
from runner.types.wish import Wish

_QUICKER = 1.25  # times; less of a gain is not worth to load a model again
_LONGER = 2  # times the context
_FINER = 1.2  # times the bits of a weight
_RANKS = (Verdict.NO, Verdict.CPU, Verdict.SPLIT, Verdict.GPU)


def mapped_bytes(running: Running) -> int:
    """Bytes of a model's file that the host has in memory, and that the system counts as available."""
    if running.placement.load_mode != "mmap":
        return 0
    return sum(row.weights for row in running.loaded.held if row.device == "CPU")


def held_bytes(running: Running) -> int:
    """Bytes of a model on all devices together."""
    return sum(row.held for row in running.loaded.held)


def left(machine: Machine, wish: Wish, loaded: Sequence[Running], gone: Sequence[Running]) -> Machine:
    """The machine with the room that there is as soon as those that are `gone` are no longer loaded.

    What a wish limits is for all models together.
    """
    given, kept = _held(gone), _held([one for one in loaded if one not in gone])
    shared = sum(given.get(device.id, 0) for device in machine.devices if device.shares_host_memory)
    ram = min(machine.ram_total, machine.ram_available + given.get("CPU", 0) + shared)
    if wish.ram_limit is not None:
        ram = min(ram, max(0, wish.ram_limit - kept.get("CPU", 0)))
    devices = tuple(_left(device, wish, given, kept) for device in machine.devices)
    return replace(machine, devices=devices, ram_available=ram)


def _left(device: Device, wish: Wish, given: Mapping[str, int], kept: Mapping[str, int]) -> Device:
    free = min(device.total, device.free + given.get(device.id, 0))
    if wish.vram_limit is not None:
        free = min(free, max(0, wish.vram_limit - kept.get(device.id, 0)))
    return replace(device, free=free)


def _held(models: Sequence[Running]) -> dict[str, int]:
    """Bytes by device, with what comes on top of our buffers."""
    held: dict[str, int] = {}
    for running in models:
        for row in running.loaded.held:
            held[row.device] = held.get(row.device, 0) + row.held
        for planned in running.candidate.memory:
            held[planned.device] = held.get(planned.device, 0) + planned.overhead
    return held


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
