"""Seconds per token and per prompt, from bytes, operations and bandwidths. Pure.

Decode runs the layers one after another, each on the device that holds it. The time of one token is the sum over
devices of

    (weight bytes + 2 x KV bytes) x slowdown / bandwidth + layers x seconds per layer

plus what every further GPU and every further graph split costs. Slowdown and seconds per layer depend on the kind
of memory only. `scripts/checks/fit_speed.py` fits them to the decode speeds in tests/data/published_speeds.toml
(llama-bench on 20 GPUs, one to eight of them, with the sources): median error below 5 %, nine in ten within 18 %. They
lean a little to later builds, which start kernels faster; Apple's M1 Max of 2024 is the one far off. Reading the KV
cache takes about twice as long per byte as reading weights.

Prefill is bound by arithmetic, and by copies where a GPU computes with weights that lie in host memory: median
error 17 % for 512 tokens on the same GPUs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from runner.types.machine import Device, Machine


@dataclass(frozen=True, slots=True)
class Work:
    """What one device (None: the host's CPU) does for one token.

    `weight_bytes`: weights read to decode one token (a routed expert counts used/total of its bytes).
    `weights`: the number of those weights (parameters): what the arithmetic grows with.
    `kv_bytes`: KV cache read at the depth in question. `stored_bytes`: all weights lying there that a long
    prompt touches (every expert). `layers`: layers that compute here, fractions for parts of a layer.
    """

    device: Device | None
    weight_bytes: float
    weights: float
    kv_bytes: float = 0.0
    stored_bytes: float = 0.0
    layers: float = 0.0


@dataclass(frozen=True, slots=True)
class MemoryKind:
    """How llama.cpp's kernels do on one kind of memory.

    `slowdown`: time per byte, in units of 1 / bandwidth. `layer`: seconds per layer for launches and small kernels.
    `compute`: the share of the dense float16 peak that prefill reaches. `intensity`: float16 operations per byte
    of bandwidth, for devices whose peak is not known.
    """

    slowdown: float
    layer: float
    compute: float
    intensity: float


GDDR = MemoryKind(slowdown=1.11, layer=75e-6, compute=0.42, intensity=150)
HBM = MemoryKind(slowdown=1.65, layer=115e-6, compute=0.25, intensity=160)
UNIFIED = MemoryKind(slowdown=1.20, layer=200e-6, compute=0.65, intensity=30)

KV_WEIGHT = 2.0
SECONDS_PER_GPU = 0.25e-3  # each GPU after the first, fitted as above
# Qwen3-30B-A3B with the experts of 36 of 48 layers on the CPU: 27 ms a token, of which bytes and layers explain 16;
# 74 splits. https://github.com/AlexsJones/llmfit/pull/755
SECONDS_PER_SPLIT = 150e-6

# The CPU. Named memory has a peak bandwidth, of which this share is reached, and threads meet at every operation:
# llama-bench of a 14B on 64 cores with 461 GB/s in three quantizations (https://ahelpme.com/?p=6685), and a 135M
# on two cores. Bandwidth that was probed was reached.
HOST_SHARE_OF_PEAK = 0.79
_SECONDS_PER_HOST_LAYER = 50e-6
_SECONDS_PER_HOST_LAYER_AND_CORE = 3.3e-6
_UNKNOWN_HOST_BANDWIDTH = 40e9
# Measured with SmolLM2-135M Q4_1 on one Zen 4 core: 141 tok/s of decode, 143 tok/s of prefill.
_CORE_WEIGHTS = 19e9
_CORE_OPERATIONS = 40e9

# Batches this long compute on a GPU with weights copied from the host (llama.cpp's op_offload), at the speed of
# pageable memory: https://github.com/ggml-org/llama.cpp/pull/6083, 19 GiB of host weights in 4.2 s.
_OFFLOAD_BATCH = 32
_COPY_BANDWIDTH = 6e9


def decode_tps(work: Sequence[Work], machine: Machine, splits: int | None = None) -> float:
    """Tokens per second of one sequence.

    `splits` is llama.cpp's number of graph splits; None: no more than the devices make necessary.
    """
    gpus = sum(item.device is not None for item in work)
    seconds = sum(_decode_seconds(item, machine) for item in work)
    seconds += SECONDS_PER_GPU * max(0, gpus - 1)
    if splits is not None:
        seconds += SECONDS_PER_SPLIT * max(0, splits - gpus - 1)
    return 1 / max(seconds, 1e-9)


def prefill_tps(work: Sequence[Work], machine: Machine, tokens: int = 512, ubatch: int = 512) -> float:
    """Prompt tokens per second for a prompt of `tokens`, computed `ubatch` at a time."""
    batch = max(1, min(tokens, ubatch))
    helper = next((item.device for item in work if item.device and item.device.has_host_buffer), None)
    seconds = sum(_prefill_seconds(item, helper, machine, batch) for item in work)
    return batch / max(seconds, 1e-9)


def memory_of(device: Device) -> MemoryKind:
    """The kind of memory a device has; unknown counts as a graphics card's."""
    kind = (device.memory_type or "GDDR").upper()
    if kind.startswith("HBM"):
        return HBM
    if device.shares_host_memory or not kind.startswith("GDDR"):
        return UNIFIED
    return GDDR


def _decode_seconds(work: Work, machine: Machine) -> float:
    bytes_read = work.weight_bytes + KV_WEIGHT * work.kv_bytes
    if work.device is None:
        layers = work.layers * (_SECONDS_PER_HOST_LAYER + _SECONDS_PER_HOST_LAYER_AND_CORE * machine.cores)
        reading = bytes_read / _host_bandwidth(machine)
        return max(reading, work.weights / (_CORE_WEIGHTS * max(1, machine.cores))) + layers
    memory = memory_of(work.device)
    return bytes_read * memory.slowdown / _bandwidth(work.device, machine) + work.layers * memory.layer


def _prefill_seconds(work: Work, helper: Device | None, machine: Machine, batch: int) -> float:
    operations = 2 * work.weights * batch
    if work.device is not None:
        return _gpu_prefill_seconds(work, work.device, machine, operations)
    if helper is not None and batch >= _OFFLOAD_BATCH:
        return work.stored_bytes / _COPY_BANDWIDTH + _gpu_prefill_seconds(work, helper, machine, operations)
    computing = operations / (_CORE_OPERATIONS * max(1, machine.cores))
    return max(computing, work.stored_bytes / _host_bandwidth(machine))


def _gpu_prefill_seconds(work: Work, device: Device, machine: Machine, operations: float) -> float:
    """Arithmetic at a share of the peak, never faster than the layers can be started."""
    memory = memory_of(device)
    peak = device.flops or memory.intensity * _bandwidth(device, machine)
    return operations / (memory.compute * peak) + work.layers * memory.layer


def _bandwidth(device: Device, machine: Machine) -> float:
    """Of a device; what nobody knows is taken to be no faster than the host."""
    return device.bandwidth or _host_bandwidth(machine)


def _host_bandwidth(machine: Machine) -> float:
    """What reading host memory reaches: a probe measured just that, a name states a peak."""
    bandwidth = machine.ram_bandwidth or _UNKNOWN_HOST_BANDWIDTH
    return bandwidth if machine.source == "probe" else HOST_SHARE_OF_PEAK * bandwidth
