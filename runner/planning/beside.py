"""Two models on one machine: what one leaves to the other, and one ledger for both. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runner.planning.placement import Placed
from runner.planning.restrictions import limited
from runner.types.drafts import DraftKind
from runner.types.machine import Machine
from runner.types.placement import Companion
from runner.types.plan import CompanionPlan, Guesses, MemoryRow
from runner.types.wish import Wish


@dataclass(frozen=True, slots=True)
class Beside:
    """A companion as it is planned, which stays as it is wherever the model goes; on this machine for both.

    `guesses`: what it is expected to bring.
    """

    companion: Companion
    plan: CompanionPlan
    guesses: Guesses | None
    machine: Machine

    @property
    def rest(self) -> Machine:
        """What is left for the model; its own heads are a part of it."""
        return less(self.machine, self.plan.memory) if self._is_other else self.machine

    def added(self, placed: Placed) -> Placed:
        """The model alone, as one with its companion."""
        predicted = placed.predicted and replace(placed.predicted, guesses=self.guesses)
        if not self._is_other:
            return replace(placed, predicted=predicted)
        memory = both(self.machine, placed.memory, self.plan.memory)
        return replace(placed, predicted=predicted, memory=memory, companions=(self.plan,))

    @property
    def _is_other(self) -> bool:
        return self.companion.kind is DraftKind.MODEL


def within(machine: Machine, wish: Wish) -> Machine:
    """The machine within the limits of the wish, which split the large model alone."""
    return limited(machine, replace(wish, tensor_split=None))


def less(machine: Machine, rows: tuple[MemoryRow, ...]) -> Machine:
    """What is left of a machine beside these rows, the host's last."""
    held = {row.device: row.held for row in rows[:-1]}
    devices = tuple(replace(one, free=one.free - held.get(one.id, 0)) for one in machine.devices)
    shared = sum(held.get(one.id, 0) for one in machine.devices if one.shares_host_memory)
    return replace(machine, devices=devices, ram_available=machine.ram_available - rows[-1].total - shared)


def both(machine: Machine, large: tuple[MemoryRow, ...], small: tuple[MemoryRow, ...]) -> tuple[MemoryRow, ...]:
    """One ledger for two models, in the order of the large one's devices, the host last."""
    rows = {row.device: row for row in large[:-1]}
    for row in small[:-1]:
        known = rows.get(row.device)
        rows[row.device] = _sum(known, row) if known else row
    free = {device.id: device.free for device in machine.devices}
    shared = [
        row for row in rows.values() if any(one.shares_host_memory and one.id == row.device for one in machine.devices)
    ]
    host = _sum(large[-1], small[-1])
    host = replace(
        host,
        overhead=large[-1].overhead + small[-1].overhead,
        free=machine.ram_available - sum(row.total for row in shared),
    )
    return (*(replace(row, free=free[row.device]) for row in rows.values()), host)


def _sum(one: MemoryRow, other: MemoryRow) -> MemoryRow:
    """Both on one device, whose overhead counts once."""
    return replace(one, weights=one.weights + other.weights, kv=one.kv + other.kv, compute=one.compute + other.compute)
