"""What else would run here: the catalog's models by their parameter counts. Pure.

An estimate, not a plan: no header is read. Q4_K_M, the usual choice, has 4.85 bits per weight; the KV cache and the
compute buffers are taken as a quarter of a GiB and a tenth of the weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from models.entry import Entry
from runner.cost.ledger import host_reserve, reserve
from runner.cost.speed import decode_tps
from runner.cost.work import Work
from runner.planning.restrictions import limited
from runner.types.machine import Machine
from runner.types.plan import Verdict
from runner.types.units import GIB
from runner.types.wish import Wish

BITS = 4.85
WELL_TPS = 10.0  # tokens per second
_LAYERS = 32


@dataclass(frozen=True, slots=True)
class Estimate:
    """How a catalog entry would do at Q4_K_M: bytes of its files, where it would run, tokens per second."""

    entry: Entry
    bytes: int
    verdict: Verdict
    decode_tps: float

    @property
    def runs_well(self) -> bool:
        """Whether one would enjoy it."""
        return self.verdict is not Verdict.NO and self.decode_tps >= WELL_TPS


def estimate(entry: Entry, machine: Machine) -> Estimate:
    """The entry on this machine."""
    machine = limited(machine, Wish())
    size = int(entry.parameters * BITS / 8)
    need = int(size * 1.1) + GIB // 4
    room = sum(max(0, device.free - reserve(device, None)) for device in machine.devices)
    ram = max(0, machine.ram_available - host_reserve(machine))
    shared = any(device.shares_host_memory for device in machine.devices)
    if need <= room:
        share, verdict = 1.0, Verdict.GPU
    elif need <= (max(room, ram) if shared else room + ram):
        share, verdict = room / need, Verdict.SPLIT if room > need / 10 else Verdict.CPU
    else:
        return Estimate(entry, size, Verdict.NO, 0.0)
    return Estimate(
        entry, size, verdict, decode_tps(_work(entry, machine, share if verdict is not Verdict.CPU else 0), machine)
    )


def _work(entry: Entry, machine: Machine, share: float) -> list[Work]:
    """The weights of one token, `share` of them on the devices by their free memory."""
    read = entry.active * BITS / 8
    free = sum(device.free for device in machine.devices) or 1
    parts = [(device, share * device.free / free) for device in machine.devices] if share else []
    works = [Work(device, read * part, entry.active * part, layers=_LAYERS * part) for device, part in parts]
    if share < 1:
        rest = 1 - share
        works.append(Work(None, read * rest, entry.active * rest, layers=_LAYERS * rest))
    return works


def best_of(among: Iterable[Entry], machine: Machine) -> Estimate | None:
    """The largest that answers and runs well; None if none does."""
    good = [one for entry in among if not entry.embeds and (one := estimate(entry, machine)).runs_well]
    return max(good, key=lambda one: one.entry.parameters, default=None)
