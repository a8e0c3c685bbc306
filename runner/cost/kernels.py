"""How llama.cpp's kernels do on each backend and kind of memory. Pure.

Fitted, as `runner.cost.speed` says, to scoreboards and tables of llama-bench: CUDA to some 250 numbers, ROCm, Vulkan,
Metal and SYCL to some 30 to 60 each, of which those on Intel are three sources' and those on Apple chips mostly decode.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from runner.types.machine import Device


class Memory(StrEnum):
    """What a device's memory is built of."""

    GDDR = "GDDR"
    HBM = "HBM"
    UNIFIED = "unified"


@dataclass(frozen=True, slots=True)
class Kernels:
    """How one backend's kernels do on one kind of memory.

    `layer`: seconds per layer in decode. `operations`: those of a prompt per cycle, with quantized weights;
    `attention`: those of attention. `slowdown`: time per byte in units of 1 / bandwidth. `unpack`: cycles in units of
    CUDA's; `slow`: further factor for the types that are slow to unpack.
    """

    layer: float
    operations: float
    attention: float = 50
    slowdown: float = 1.04
    unpack: float = 1.0
    slow: float = 1.0


KERNELS: dict[str, dict[Memory, Kernels]] = {
    "CUDA": {
        Memory.GDDR: Kernels(33e-6, 600, 290),
        Memory.HBM: Kernels(45e-6, 610, 600),
        Memory.UNIFIED: Kernels(43e-6, 350, 290),
    },
    "ROCm": {
        Memory.GDDR: Kernels(95e-6, 215, unpack=1.3),
        Memory.HBM: Kernels(124e-6, 210, unpack=1.5),
        Memory.UNIFIED: Kernels(111e-6, 205, unpack=1.5),
    },
    "Vulkan": {Memory.GDDR: Kernels(27e-6, 215), Memory.UNIFIED: Kernels(57e-6, 600, 70)},
    "Vulkan on NVIDIA": {Memory.GDDR: Kernels(27e-6, 490, 70)},
    "Vulkan on Intel": {Memory.GDDR: Kernels(92e-6, 173, slowdown=2.26, unpack=2.7, slow=5.4)},
    "SYCL": {Memory.GDDR: Kernels(95e-6, 100, unpack=0.8, slow=20)},
    "Metal": {Memory.UNIFIED: Kernels(146e-6, 90, slowdown=1.17, unpack=0)},
    "Metal since M5": {Memory.UNIFIED: Kernels(53e-6, 90, slowdown=1.07, unpack=0)},
}


@cache
def memory_of(device: Device) -> Memory:
    """The kind of memory a device has; unknown counts as a graphics card's."""
    kind = (device.memory_type or "GDDR").upper()
    if kind.startswith("HBM"):
        return Memory.HBM
    if device.shares_host_memory or not kind.startswith("GDDR"):
        return Memory.UNIFIED
    return Memory.GDDR


@cache
def kernels_of(device: Device) -> Kernels:
    """How the device's backend does on its memory; what is not known is reckoned like CUDA."""
    by_memory = KERNELS.get(backend_of(device), KERNELS["CUDA"])
    return by_memory.get(memory_of(device)) or next(iter(by_memory.values()))


_NVIDIA = ("nvidia", "geforce", "rtx", "gtx", "quadro", "tesla")


def backend_of(device: Device) -> str:
    """The backend by the id that llama.cpp gives its devices, told apart where hardware decides as much."""
    own = device.lent.id if device.lent else device.id
    backend, name = own.rstrip("0123456789"), device.name.casefold()
    if backend == "MTL":
        return "Metal since M5" if "m5" in name else "Metal"
    if backend == "Vulkan" and ("intel" in name or "arc" in name.split()):
        return "Vulkan on Intel"
    if backend == "Vulkan" and any(word in name for word in _NVIDIA):
        return "Vulkan on NVIDIA"
    return backend
