"""The machine while it works: one frozen sample for meters, from the driver and the system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from runner.hardware import host, nvml
from runner.types.lending import Pulse
from runner.types.machine import Device, Machine
from runner.types.sample import DeviceSample, Sample


def sample(machine: Machine, pulses: Mapping[str, Pulse] = MappingProxyType({})) -> Sample:
    """Measure now: every device of `machine`, RAM, the processor. None for what nobody says.

    `pulses`: what other machines said last of themselves, by endpoint.
    """
    memory = host.memory()
    known = {gpu.uid: gpu for gpu in nvml.gpus()}
    return Sample(
        devices=tuple(
            replace(_device(device, known.get(device.uid or "")), traffic=_traffic(device, pulses))
            for device in machine.devices
        ),
        ram_total=memory.total,
        ram_available=memory.available,
        cpu=host.cpu_share(),
    )


def _device(device: Device, gpu: nvml.DriverGpu | None) -> DeviceSample:
    if gpu is None:
        return DeviceSample(device.id, device.total, None)
    return DeviceSample(
        device=device.id,
        total=gpu.total,
        used=gpu.total - gpu.free,
        utilisation=gpu.utilisation,
        temperature=gpu.temperature,
        power=gpu.power,
    )


def _traffic(device: Device, pulses: Mapping[str, Pulse]) -> int | None:
    pulse = pulses.get(device.lent.endpoint) if device.lent else None
    return pulse.received + pulse.sent if pulse else None
