"""What may hold an engine up, measured at one moment: some milliseconds, so it is asked only where one is slow."""

from __future__ import annotations

import time

from runner.hardware import host, nvml
from runner.hardware.others import others
from runner.types.machine import Device, Holder, Machine
from runner.types.sample import DeviceStrain, Strain
from runner.types.units import GIB

_LOOK_BACK_S = 10.0
_COMPUTES = 0.05  # of a GPU's time; a desktop that is drawn takes less


def strain(machine: Machine, engine: int) -> Strain | None:
    """Measure now; `engine` is the id of the engine's process. None where it is gone."""
    use = host.process_use(engine)
    if use is None:
        return None
    cards = {card.uid: card for card in nvml.gpus()}
    return Strain(
        at=time.monotonic(),
        devices=tuple(_device(device, cards.get(device.uid or "")) for device in machine.devices),
        engine=use,
        others=host.other_processes(),
        swapped_in=host.swapped_in(),
        overheated=host.overheated(),
        on_battery=host.on_battery(),
        spills=host.is_wsl(),
    )


def _device(device: Device, card: nvml.DriverGpu | None) -> DeviceStrain:
    if card is None:
        return DeviceStrain(device.id, device.total, None)
    busy = nvml.busy(card.uid, _LOOK_BACK_S)
    working = tuple(one for one in others(device) if _at_work(one, busy))
    return DeviceStrain(device.id, card.total, card.total - card.free, nvml.throttled(card.uid), working)


def _at_work(holder: Holder, busy: dict[int, float] | None) -> bool:
    """Whether it computes; where the driver does not say who does, who holds much.

    In a container the driver names processes by ids of the computer: ours is among them, without a name.
    """
    if holder.name is None:
        return False
    return (holder.bytes or 0) > GIB if busy is None else busy.get(holder.pid, 0.0) > _COMPUTES
