"""Ever smaller placements, for when llama.cpp cannot allocate what was planned. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from models.headers.shape import ModelShape
from runner.planning.placement import place
from runner.types.machine import Machine
from runner.types.placement import Placement
from runner.types.plan import Verdict
from runner.types.wish import Wish

_WITHHELD = (0.1, 0.25, 0.5, 0.75)  # of all free memory, from placement to placement


def lower_placements(shape: ModelShape, machine: Machine, wish: Wish, first: Placement) -> Iterator[Placement]:
    """`first`, then what would fit into less and less memory, each placement once.

    What was wished stays: a context that was asked for is never cut.
    """
    yield first
    seen = {first}
    for share in _WITHHELD:
        lower = place(shape, _less(machine, share), wish)
        if lower.placement is not None and lower.verdict is not Verdict.NO and lower.placement not in seen:
            seen.add(lower.placement)
            yield lower.placement


def _less(machine: Machine, share: float) -> Machine:
    devices = tuple(replace(device, free=int(device.free * (1 - share))) for device in machine.devices)
    return replace(machine, devices=devices, ram_available=int(machine.ram_available * (1 - share)))
