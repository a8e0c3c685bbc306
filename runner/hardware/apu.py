"""How Linux divides the memory of AMD's integrated GPUs, as amdgpu's own files say.

A carve-out is set aside by the firmware and is no part of the RAM that the system sees; GTT is RAM that the driver may
map. Vulkan uses both (https://github.com/ggml-org/llama.cpp/issues/19818: 53281 MiB where ROCm saw 6368). ROCm uses the
carve-out, or GTT where that is larger and kernel and ROCm are new enough:
https://github.com/ROCm/rocm-systems/pull/5596.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runner.hardware import pci
from runner.types.machine import DeviceFacts, Kind
from runner.types.units import gib

_MUCH = 1.1  # that Vulkan must give more before it is worth another build


@dataclass(frozen=True, slots=True)
class Division:
    """Bytes of an integrated GPU's memory: set aside for it, and of the RAM that it may use too."""

    carve_out: int
    gtt: int


def division(facts: DeviceFacts) -> Division | None:
    """Of the device's memory; None where it is no integrated GPU of AMD's, or not on Linux."""
    if facts.kind is not Kind.IGPU or not facts.uid:
        return None
    folder = pci.SYS / "bus/pci/devices" / facts.uid
    carve_out, gtt = (pci.read(folder / f"mem_info_{name}_total").strip() for name in ("vram", "gtt"))
    return Division(int(carve_out), int(gtt)) if carve_out.isdigit() and gtt.isdigit() else None


def notes(devices: Iterable[DeviceFacts]) -> Iterator[str]:
    """A sentence for each such GPU of which ROCm uses much less memory than Vulkan would."""
    for facts in devices:
        parts = division(facts) if facts.backend in ("ROCm", "HIP") else None
        if parts and parts.carve_out + parts.gtt >= _MUCH * facts.total:
            both = f"{gib(parts.carve_out)} set aside and {gib(parts.gtt)} of RAM"
            yield (
                f"ROCm uses {gib(facts.total)} of the memory of {facts.id}; Vulkan would use both its parts, {both}: "
                "`scripts/setup --backend vulkan`."
            )
