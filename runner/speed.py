"""Seconds per token and per prompt, from bytes, operations and bandwidths. Pure.

Decode runs the layers one after another, each on the device that holds it, so the time of one token is the sum over
devices of what each reads, plus what every layer and every graph split costs. Prefill is bound by arithmetic,
or by copying host weights to a GPU. `Work` says what one device has to do; the planner fills one per device.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from runner.machine import Device, Machine


@dataclass(frozen=True, slots=True)
class Work:
    """What one device (None: the host's CPU) does for one token.

    `weight_bytes`: weights read to decode one token (a routed expert counts used/total of its bytes).
    `weights`: the number of those weights (parameters), for the cost of unpacking and, doubled, the operations.
    `kv_bytes`: KV cache read at the depth in question. `stored_bytes`: all weights lying there that a long prompt
    touches (every expert). `layers`: layers that compute here, fractions for parts of a layer.
    """

    device: Device | None
    weight_bytes: float
    weights: float
    kv_bytes: float = 0.0
    stored_bytes: float = 0.0
    layers: float = 0.0


_EFFICIENCY = 0.8  # of the memory's bandwidth
_SECONDS_PER_LAYER = 30e-6
_SECONDS_PER_SPLIT = 40e-6
_LINK = 12e9  # bytes per second from host memory to a GPU
_UNKNOWN_BANDWIDTH = 50e9
_CORE_OPERATIONS = 40e9  # per second and core
_GPU_PREFILL = 0.4  # of the dense float16 peak


def decode_tps(work: Sequence[Work], machine: Machine, splits: int = 1) -> float:
    """Tokens per second of one sequence; `splits` is llama.cpp's number of graph splits."""
    seconds = sum(_decode_seconds(item, machine) for item in work)
    return 1 / max(1e-9, seconds + _SECONDS_PER_SPLIT * (splits - 1))


def prefill_tps(work: Sequence[Work], machine: Machine, tokens: int = 512, ubatch: int = 512) -> float:
    """Prompt tokens per second for a prompt of `tokens`, fed `ubatch` at a time."""
    batch = min(tokens, ubatch)
    seconds = sum(_prefill_seconds(item, work, machine, batch) for item in work)
    return batch / max(1e-9, seconds)


def _decode_seconds(work: Work, machine: Machine) -> float:
    bytes_read = work.weight_bytes + work.kv_bytes
    if work.device is None:
        bandwidth = machine.ram_bandwidth or _UNKNOWN_BANDWIDTH
        return max(
            bytes_read / (_EFFICIENCY * bandwidth), 2 * work.weights / (_CORE_OPERATIONS * machine.cores)
        )
    bandwidth = work.device.bandwidth or _UNKNOWN_BANDWIDTH
    return bytes_read / (_EFFICIENCY * bandwidth) + _SECONDS_PER_LAYER * work.layers


def _prefill_seconds(work: Work, everyone: Sequence[Work], machine: Machine, batch: int) -> float:
    operations = 2 * work.weights * batch
    if work.device is not None:
        return operations / (_GPU_PREFILL * (work.device.flops or 10e12))
    on_cpu = operations / (_CORE_OPERATIONS * machine.cores)
    helpers = [
        other.device for other in everyone if other.device is not None and other.device.has_host_buffer
    ]
    if batch < 32 or not helpers:
        return on_cpu
    return work.stored_bytes / _LINK + operations / (_GPU_PREFILL * (helpers[0].flops or 10e12))
