"""Who holds the memory of a device, as far as its driver tells."""

from __future__ import annotations

from collections.abc import Container

from runner.hardware import host, nvml
from runner.types.machine import Device, Holder


def holders(device: Device, ours: Container[int] = ()) -> tuple[Holder, ...]:
    """Processes with memory on a device, but for `ours`; those that hold most first. Empty where nobody tells."""
    found = [
        Holder(pid, host.process_name(pid), size) for pid, size in nvml.holders(device.uid or "") if pid not in ours
    ]
    return tuple(sorted(found, key=lambda one: -(one.bytes or 0)))
