"""The machine while it works: one frozen sample for meters, from the driver and the system."""

from __future__ import annotations

from runner.hardware import host, nvml
from runner.types.machine import Device, Machine
from runner.types.sample import DeviceSample, Sample


def sample(machine: Machine) -> Sample:
    """Measure now: every device of `machine`, RAM, the processor. None for what nobody says."""
    memory = host.memory()
    known = {gpu.uid: gpu for gpu in nvml.gpus()}
    return Sample(
        devices=tuple(_device(device, known.get(device.uid or "")) for device in machine.devices),
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
