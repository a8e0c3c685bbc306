"""The machine while it works: one frozen sample for meters, from the driver and the system."""

from __future__ import annotations

import time

from runner.hardware import host, nvml
from runner.types.machine import Device, Machine
from runner.types.sample import DeviceSample, Sample


def sample(machine: Machine, engine_pid: int | None) -> Sample:
    """Measure now: every device of `machine`, RAM, the engine's resident memory. None for what nobody says."""
    memory = host.memory()
    known = {gpu.uid: gpu for gpu in nvml.gpus()}
    return Sample(
        at=time.monotonic(),
        devices=tuple(_device(device, known.get(device.uid or "")) for device in machine.devices),
        ram_total=memory.total,
        ram_available=memory.available,
        engine_rss=host.resident_bytes(engine_pid) if engine_pid is not None else None,
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
