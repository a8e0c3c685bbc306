"""What others hold of the GPUs here. It is missing in `free` already; this says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runner.hardware import host, nvml
from runner.types.machine import Device, Holder, Kind
from runner.types.units import GIB, gib

_WORTH_SAYING = GIB
_CONTEXT = GIB // 2  # of our own engine, which has asked for the devices


def notes(devices: Iterable[Device]) -> Iterator[str]:
    """A sentence for each GPU of which others hold more than 1 GiB, with their names where the driver knows them."""
    for device in devices:
        taken = device.total - device.free - _CONTEXT
        if taken > _WORTH_SAYING and device.kind is Kind.GPU and not device.shares_host_memory:
            large = [one for one in others(device) if (one.bytes or 0) > _WORTH_SAYING]
            known = " and ".join(one.claim for one in large)
            yield f"{known or f'The desktop and other programs hold {gib(taken)}'} of {device.id}."


def others(device: Device) -> tuple[Holder, ...]:
    """Processes with memory on a device, but for this one and what it started; those that hold most first.

    Empty where nobody tells.
    """
    ours = host.own_processes()
    told = [(pid, size) for pid, size in nvml.holders(device.uid or "") if pid not in ours]
    found = [Holder(pid, host.process_name(pid), size) for pid, size in told]
    return tuple(sorted(found, key=lambda one: -(one.bytes or 0)))
