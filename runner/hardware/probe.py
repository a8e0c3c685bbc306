"""This computer as a Machine: ggml's own device list is the truth, the driver and the system add detail."""

from __future__ import annotations

from collections.abc import Sequence

from runner.hardware import apu, host, numa, nvml, others
from runner.hardware.gpu_names import with_specs
from runner.hardware.overhead import overhead
from runner.hardware.pci import cards
from runner.types.machine import Device, DeviceFacts, Kind, Machine, Runtime
from runner.types.units import GIB

_SLICE = 0.8  # of a card's memory; a driver keeps less than a tenth of a whole one
_LEFT = 20  # of the RAM that a lent CPU leaves to everybody else, one part
_CARDS = {"nvidia": "NVIDIA card", "amd": "AMD card", "intel": "Intel card"}


def probe(found: Runtime, ram_bandwidth: float) -> Machine:
    """This computer now, with the devices `found`; bytes per second of its memory take a measurement to know."""
    memory, devices = host.memory(), devices_of(found.devices)
    return Machine(
        source="probe",
        devices=devices,
        ram_total=memory.total,
        ram_available=memory.available,
        ram_bandwidth=ram_bandwidth,
        cores=host.cores(),
        cpu_name=host.cpu_name(),
        notes=(*unused_gpus(found), *apu.notes(found.devices), *others.notes(devices), *numa.notes()),
        numa=numa.strategy(),
    )


def devices_of(found: Sequence[DeviceFacts]) -> tuple[Device, ...]:
    """All that can hold layers; of a card that two backends see, the first, as llama.cpp takes it."""
    gpus = {gpu.uid: gpu for gpu in nvml.gpus()}
    able = {facts.uid or facts.id: facts for facts in reversed(found) if facts.kind is not Kind.CPU}
    return tuple(_device(facts, gpus.get(facts.uid or "")) for facts in found if facts in able.values())


def cpu_device(machine: Machine) -> Device:
    """The processor of a machine as a device that may be lent, with the memory that others leave it."""
    free = max(0, machine.ram_available - max(machine.ram_total // _LEFT, GIB))
    return Device(
        "CPU",
        Kind.CPU,
        machine.cpu_name or "CPU",
        machine.ram_total,
        free,
        machine.ram_bandwidth,
        shares_host_memory=True,
    )


def _device(facts: DeviceFacts, gpu: nvml.DriverGpu | None) -> Device:
    parts = apu.division(facts)
    is_apart = parts is not None and parts.carve_out >= parts.gtt  # most of it is no part of the RAM
    device = Device(
        id=facts.id,
        kind=facts.kind,
        name=gpu.name if gpu else facts.description,
        total=facts.total,
        # The RAM that the driver may map as well is left to the host's own ledger.
        free=min(facts.free, parts.carve_out) if parts and is_apart else facts.free,
        bandwidth=_bandwidth(facts, gpu) if gpu else None,
        bus=gpu.bus if gpu else None,
        overhead=overhead(facts.backend),
        # Metal calls itself a GPU, but its memory is the host's.
        shares_host_memory=(facts.kind is Kind.IGPU and not is_apart) or facts.backend in ("Metal", "MTL"),
        has_host_buffer=facts.has_host_buffer,
        uid=facts.uid,
    )
    return device if facts.kind is Kind.RPC else with_specs(device)


def _bandwidth(facts: DeviceFacts, gpu: nvml.DriverGpu) -> float | None:
    """Bytes per second; a slice of a card (MIG) has as much of its bandwidth as of its memory."""
    if gpu.bandwidth is None or facts.total > _SLICE * gpu.total:
        return gpu.bandwidth
    return gpu.bandwidth * facts.total / gpu.total


def unused_gpus(found: Runtime) -> list[str]:
    """A sentence for GPUs that are here and that llama.cpp cannot use; asks only what answers at once."""
    if any(facts.kind in (Kind.GPU, Kind.IGPU) for facts in found.devices):
        return []
    seen = [gpu.name for gpu in nvml.gpus()] or [_CARDS[maker] for maker in cards(integrated=False)]
    if not seen:
        return []
    built = " and ".join(name for name in found.backends if name not in ("CPU", "RPC"))
    why = f"has {built}, but cannot use" if built else "is built for the CPU alone and cannot use"
    return [f"llama.cpp {why} the {' and the '.join(seen)}. `localrun doctor` gives the command that mends it."]
