"""NVIDIA's driver, asked through NVML. The one module that imports pynvml; a driver that says no answers None."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from runner.types.machine import pcie_bandwidth
from runner.types.sample import Throttle

_DEVICE_NODES = ("/dev/nvidiactl", "/dev/dxg", "/dev/nvhost-ctrl")  # driver, WSL2, Jetson
# nvmlClocksEventReasons: software power cap and power brake; hardware and software slowdown for heat.
_THROTTLES = {Throttle.POWER: 0x4 | 0x80, Throttle.HEAT: 0x8 | 0x20 | 0x40}
_TEMPERATURE_GPU, _CLOCK_MEM = 0, 2  # of nvmlTemperatureSensors_t and nvmlClockType_t


@dataclass(frozen=True, slots=True)
class DriverGpu:
    """What the driver knows about one GPU; bytes, bytes per second, 0..1, degrees Celsius, watts.

    `uid` is the PCI id in llama.cpp's form: lower case, four digits of domain.
    """

    uid: str
    name: str
    total: int
    free: int
    bandwidth: float | None = None
    bus: float | None = None
    utilisation: float | None = None
    temperature: float | None = None
    power: float | None = None


@dataclass(frozen=True, slots=True)
class Driver:
    """The driver's version and the newest CUDA it serves."""

    version: str
    cuda: tuple[int, int] | None


def driver() -> Driver | None:
    """The NVIDIA driver, None without one."""
    if library() is None:
        return None
    version, cuda = _ask("nvmlSystemGetDriverVersion"), _ask("nvmlSystemGetCudaDriverVersion_v2")
    return Driver(_text(version), (cuda // 1000, cuda % 1000 // 10) if cuda else None)


def gpus() -> tuple[DriverGpu, ...]:
    """All NVIDIA GPUs now; empty without a driver."""
    handles = [_ask("nvmlDeviceGetHandleByIndex", index) for index in range(_ask("nvmlDeviceGetCount") or 0)]
    return tuple(gpu for handle in handles if handle is not None and (gpu := _gpu(handle)) is not None)


def holders(uid: str) -> tuple[tuple[int, int | None], ...]:
    """The processes with memory on the GPU of a PCI id, each with its bytes (None where the driver does not say)."""
    handle = _ask("nvmlDeviceGetHandleByPciBusId", uid)
    asked = ("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v3")
    found = (process for function in asked for process in _ask(function, handle) or ())
    return tuple({int(one.pid): one.usedGpuMemory for one in found}.items())


def throttled(uid: str) -> frozenset[Throttle]:
    """What keeps the clocks of the GPU of a PCI id down now; empty where the driver does not say."""
    handle = _ask("nvmlDeviceGetHandleByPciBusId", uid)
    reasons = _ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle) or 0
    return frozenset(why for why, bits in _THROTTLES.items() if reasons & bits)


def busy(uid: str, look_back_s: float) -> dict[int, float] | None:
    """The share of the GPU's time that each process took in the last seconds, by id; None where nobody tells."""
    handle = _ask("nvmlDeviceGetHandleByPciBusId", uid)
    samples = _ask("nvmlDeviceGetProcessUtilization", handle, int(1e6 * (time.time() - look_back_s)))
    if samples is None:
        return None
    found: dict[int, float] = {}
    for one in samples:
        found[one.pid] = max(found.get(one.pid, 0.0), one.smUtil / 100)
    return found


def _gpu(handle: Any) -> DriverGpu | None:
    pci, memory = _ask("nvmlDeviceGetPciInfo", handle), _ask("nvmlDeviceGetMemoryInfo", handle)
    if pci is None or memory is None:
        return None
    rates, milliwatts = _ask("nvmlDeviceGetUtilizationRates", handle), _ask("nvmlDeviceGetPowerUsage", handle)
    return DriverGpu(
        uid=short_pci(_text(pci.busId)),
        name=_text(_ask("nvmlDeviceGetName", handle)),
        total=int(memory.total),
        free=int(memory.free),
        bandwidth=_bandwidth(handle),
        bus=_bus(handle),
        utilisation=rates.gpu / 100 if rates is not None else None,
        temperature=_ask("nvmlDeviceGetTemperature", handle, _TEMPERATURE_GPU),
        power=milliwatts / 1000 if milliwatts is not None else None,
    )


def _bandwidth(handle: Any) -> float | None:
    """Bus width x memory clock x 2 transfers: 1008 GB/s for an RTX 4090, 2039 for an A100 SXM 80 GB."""
    bits = _ask("nvmlDeviceGetMemoryBusWidth", handle)
    megahertz = _ask("nvmlDeviceGetMaxClockInfo", handle, _CLOCK_MEM)
    return 2e6 * megahertz * bits / 8 if bits and megahertz else None


def _bus(handle: Any) -> float | None:
    """What card and slot can do together, not what they do while idle."""
    generation = _ask("nvmlDeviceGetMaxPcieLinkGeneration", handle)
    lanes = _ask("nvmlDeviceGetMaxPcieLinkWidth", handle)
    return pcie_bandwidth(generation, lanes)


def short_pci(bus_id: str) -> str:
    """`00000000:C1:00.0` as ggml writes it: `0000:c1:00.0`."""
    domain, _, rest = bus_id.lower().partition(":")
    return f"{domain[-4:]}:{rest}"


@cache
def library() -> Any:
    """The started library, None where there is no driver."""
    if sys.platform == "linux" and not any(Path(node).exists() for node in _DEVICE_NODES):
        return None  # most machines: spares the import, a tenth of a second
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # the library raises its own errors, and others where the driver is broken
        return None
    return pynvml


def _ask(function: str, *arguments: object) -> Any:
    """What one of the library's functions answers; None where it refuses, or where there is no library."""
    try:
        return getattr(library(), function)(*arguments)
    except Exception:
        return None


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
