"""What others hold of the GPUs here. It is missing in `free` already; this says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from models.visible import one_line
from runner.hardware import host
from runner.hardware.holders import holders
from runner.types.machine import Device, Holder, Kind
from runner.types.units import GIB, gib

_WORTH_SAYING = GIB
_CONTEXT = GIB // 2  # of our own engine, which has asked for the devices
_LONGEST = 40  # characters of a name


def notes(devices: Iterable[Device]) -> Iterator[str]:
    """A sentence for each GPU of which others hold more than 1 GiB, with their names where the driver knows them."""
    for device in devices:
        taken = device.total - device.free - _CONTEXT
        if taken > _WORTH_SAYING and device.kind is Kind.GPU and not device.shares_host_memory:
            large = [one for one in others(device) if (one.bytes or 0) > _WORTH_SAYING]
            known = " and ".join(map(held, large))
            yield f"{known or f'The desktop and other programs hold {gib(taken)}'} of {device.id}."


def others(device: Device) -> tuple[Holder, ...]:
    """All that hold memory of a device, but for this process and what it started."""
    return holders(device, host.own_processes())


def held(holder: Holder) -> str:
    """`ollama (process 812) holds 3.2 GiB`."""
    name = one_line(holder.name or "another program", _LONGEST)
    return f"{name} (process {holder.pid}) holds {'some memory' if holder.bytes is None else gib(holder.bytes)}"
