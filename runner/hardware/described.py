"""Hardware that is not here, described in a few words: `2xrtx-3090,ram=64g@60gbps` -> Machine.

COMPUTER   part {"," part}
part       "cpu" | "ram=" memory | devices {"+" devices}
devices    [count "x"] ("gpu=" memory | the name of a GPU or of an Apple chip)
memory     SIZE ["@" number "gbps"]

Of a GPU by its name, what the driver leaves is there; a size that is written is taken at its word.
"""

import re
from dataclasses import replace

from models.errors import UsageError
from runner.hardware.gpu_names import find_gpu
from runner.hardware.gpu_table import GpuModel
from runner.hardware.overhead import overhead
from runner.hardware.visible_memory import context_bytes, shared_bytes, visible_bytes
from runner.types.machine import Device, Kind, Machine
from runner.types.units import GIB, gib, parse_size

_DEFAULT_RAM = 64 * GIB
_DEFAULT_RAM_BANDWIDTH = 50e9
_CORES = 8
MOST_DEVICES = 16  # llama.cpp's limit

# llama.cpp's name of a maker's devices. Metal neither pins host memory nor copies weights for long batches.
_BACKENDS = {"NVIDIA": "CUDA", "AMD": "ROCm", "ATI": "ROCm", "Intel": "Vulkan", "Apple": "MTL"}

_DEVICES = re.compile(r"(?:(\d+)\s*x\s*)?(.+)")
_MEMORY = re.compile(r"([^@]+?)\s*(?:@\s*(\d+(?:\.\d+)?)\s*gbps)?")


def parse_computer(text: str) -> Machine:
    """The computer that `text` describes, with nothing running on it.

    `notes` say what was assumed: 64 GiB of RAM at 50 GB/s where `ram=` is missing, the slowest of several cards, and
    what of a GPU's memory is to be had.
    Raises UsageError with the choices where a name leaves several, and for anything not understood.
    """
    parts = [part.strip() for part in text.lower().split(",")]
    rams = [part.removeprefix("ram=") for part in parts if part.startswith("ram=")]
    others = [part for part in parts if not part.startswith("ram=")]
    if not others or not all(parts) or len(rams) > 1:
        raise UsageError(f"{text!r} is no hardware; write it like rtx-4090,ram=64g or cpu,ram=32g.")
    gpus, notes = _all_gpus(others)
    size, speed = _memory(rams[0]) if rams else (_DEFAULT_RAM, None)
    if speed is None:
        own = next((gpu.bandwidth for gpu in gpus if not gpu.memory), None)
        speed = own or _DEFAULT_RAM_BANDWIDTH
        if own is None or not rams:
            said = f"{speed / 1e9:.0f} GB/s" if rams else f"{gib(size)} at {speed / 1e9:.0f} GB/s"
            notes.append(f"Host memory is assumed to be {said}; ram=64g@60gbps would say it.")
    devices = _numbered(gpus, size, speed)
    left = zip([gpu.memory or size for gpu in gpus], devices, strict=True)
    notes += dict.fromkeys(_left(all_of_it, device) for all_of_it, device in left if device.free < all_of_it)
    return Machine("named", devices, size, size, speed, _CORES, notes=tuple(notes))


def _left(all_of_it: int, device: Device) -> str:
    if device.shares_host_memory:
        return f"Of {gib(all_of_it)} of memory {device.name} may use {gib(device.free)}."
    return f"Of the {gib(all_of_it)} of {device.name} the driver leaves {gib(device.free)}."


def _all_gpus(parts: list[str]) -> tuple[list[GpuModel], list[str]]:
    """One GpuModel per device of all parts, and what was assumed."""
    if parts == ["cpu"]:
        return [], []
    named = [_gpus(devices.strip()) for part in parts for devices in part.split("+")]
    gpus = [gpu for found, _ in named for gpu in found]
    if len(gpus) > MOST_DEVICES:
        raise UsageError(f"{len(gpus)} devices are more than the {MOST_DEVICES} that llama.cpp can use.")
    sharing = next((gpu for gpu in gpus if not gpu.memory), None)
    if sharing and len(gpus) > 1:
        raise UsageError(f"{sharing.name} shares the computer's memory; name it alone.")
    return gpus, [note for _, note in named if note]


def _numbered(gpus: list[GpuModel], ram: int, ram_bandwidth: float) -> tuple[Device, ...]:
    """Devices with ids as llama.cpp gives them, counted per backend."""
    seen: dict[str, int] = {}
    devices = []
    for gpu in gpus:
        backend = _BACKENDS.get(gpu.vendor, "Vulkan")
        number = seen[backend] = seen.get(backend, -1) + 1
        device = _device(gpu, backend, number, ram)
        devices.append(device if device.bandwidth else replace(device, bandwidth=ram_bandwidth))
    return tuple(devices)


def _device(gpu: GpuModel, backend: str, number: int, ram: int) -> Device:
    shares, metal = gpu.memory == 0, gpu.vendor == "Apple"
    total = visible_bytes(gpu) if gpu.memory else shared_bytes(gpu, ram)
    return Device(
        id=f"{backend}{number}",
        kind=Kind.IGPU if shares and not metal else Kind.GPU,
        name=gpu.name,
        total=total,
        free=total - (0 if shares else context_bytes(gpu)),
        bandwidth=gpu.bandwidth,
        overhead=overhead(backend),
        memory_type=gpu.memory_type,
        flops=gpu.flops,
        cycles=gpu.cycles,
        bus=gpu.bus,
        shares_host_memory=shares,
        has_host_buffer=not metal,
    )


def _gpus(text: str) -> tuple[list[GpuModel], str | None]:
    """`2xrtx-3090`, `gpu=24g@1008gbps`: one GpuModel per device, and what was assumed."""
    match = _DEVICES.fullmatch(text)
    count = int(match.group(1) or 1) if match else 0
    if match is None or not 0 < count <= MOST_DEVICES or match.group(2) == "cpu":
        raise UsageError(f"{text!r} does not name a device here; write it like 2xrtx-3090, or cpu alone.")
    name = match.group(2)
    if name.startswith("gpu="):
        size, speed = _memory(name.removeprefix("gpu="))
        if speed is None:
            raise UsageError(f"{name!r} lacks the speed of its memory; write it like gpu=24g@1008gbps.")
        return [GpuModel("NVIDIA", f"GPU with {gib(size)}", size, speed, None, None)] * count, None
    gpu, note = find_gpu(name)
    return [gpu] * count, note


def _memory(text: str) -> tuple[int, float | None]:
    """`64g@60gbps`: bytes, and bytes per second where they are said."""
    match = _MEMORY.fullmatch(text.strip())
    size = parse_size(match.group(1)) if match else 0
    speed = float(match.group(2)) * 1e9 if match and match.group(2) else None
    if size == 0 or speed == 0:
        raise UsageError(f"{text!r} is no memory; write it like 64g or 24g@1008gbps.")
    return size, speed
