"""Seconds per token and per prompt, from bytes, weights, cycles and bandwidths. Pure.

Decode runs the layers one after another, each on the device that holds it. One token takes, summed over devices,

    bytes read x slowdown / bandwidth          the weights come from memory once a token
  + cycles to unpack them / cycles             quantized weights become numbers, on every multiprocessor at once
  + KV bytes x (1.15 / bandwidth + 0.045 / cycles)
  + layers x seconds per layer                 launches; a layer that routes or recurs takes more of them

plus 0.05 ms for every further GPU and 60 us for every graph split that the devices do not make necessary. A prompt is
computed one ubatch of n tokens at a time, on GPUs:

    2 x n x weights / operations per second    integer kernels: operations per cycle x cycles; floats: of the peak
  + 2 x n x attention / (attention's operations per cycle x cycles)
  + bytes touched / bandwidth, and for each routed expert touched the work of 50 more tokens
  + layers x 177 us                            more where a layer routes or recurs

and weights that lie in the host's memory are first copied over the bus, once an ubatch: at its rate where they are
pinned, at 9.6 GB/s where they are mapped from the file. Caches of layers that live there are copied too. Only experts
that some token of the ubatch is routed to are read or copied. Batches below `Offload.offload_batch` tokens are
computed where the weights are.

"Cycles" are those of all multiprocessors together (`Device.cycles`). That llama.cpp's integer kernels do about as much
in each cycle of each NVIDIA card since Ampere is what lets one set of constants hold from an RTX 3060 to an H100.

Every constant was fitted by least absolute relative errors to tests/data/published_speeds_2026.toml (llama.cpp's own
scoreboards and others, 2025 and 2026; those of 2024 do not count) and tests/data/h100.toml (measured), and rounded;
`scripts/checks/fit_speed.py` prints how far the model is from all of them. Those of a backend are in
`runner.cost.kernels`, cycles per weight in `runner.cost.blocks`, how sure it all is in `runner.cost.certainty`.
"""

from collections.abc import Sequence

from runner.cost.blocks import USUAL_CYCLES
from runner.cost.kernels import Memory, kernels_of, memory_of
from runner.cost.reductions import reduction_seconds
from runner.cost.work import Prefill, Work, is_by_tensor
from runner.types.machine import Device, Machine

# Bytes of bandwidth per cycle, for devices whose cycles nobody states: about the middle of those that are known.
_BYTES_PER_CYCLE = {Memory.GDDR: 4.5, Memory.HBM: 12.5, Memory.UNIFIED: 4.0}

_KV_SLOWDOWN = 1.15
_KV_UNPACK = 0.045  # cycles per byte
_ROUTING, _RECURRENT = 0.77, 1.9  # layers' worth of launches in decode, beyond the layer itself
_SECONDS_PER_GPU = 0.05e-3
_SECONDS_PER_SPLIT = 60e-6

_FLOAT_SHARE = 0.62  # of the peak with float16, that a prompt reaches with weights in floats
_SECONDS_PER_LAYER = 177e-6  # of a prompt, each ubatch
_PROMPT_ROUTING, _PROMPT_RECURRENT = 2.0, 4.5
_OVERLAP = 0.5  # of the time that several GPUs would save if none ever waited for another
_EXPERT_TOKENS = 50  # what a touched expert costs beyond its tokens: tiles are not full

# The CPU. Of a memory's peak, or of what a probe read with plain loops, decode reaches this share; threads meet at
# every operation: llama-bench of a 14B on 64 cores with 461 GB/s in three quantizations (https://ahelpme.com/?p=6685),
# a 24B and mixtures split with an H100 (tests/data/h100.toml). Reading KV is arithmetic of each core (the same).
_HOST_SHARE = 0.72
_SECONDS_PER_HOST_LAYER = 50e-6
_SECONDS_PER_HOST_LAYER_AND_CORE = 3.3e-6
_UNKNOWN_HOST_BANDWIDTH = 40e9
_CORE_KV = 0.76e9
# Measured with SmolLM2-135M Q4_1 on one Zen 4 core: 141 tok/s of decode, 143 tok/s of prefill. What is slow to unpack
# on a GPU is so here: experts in MXFP4 beside an H100 (tests/data/records).
_CORE_WEIGHTS = 19e9
_CORE_OPERATIONS = 40e9

# Weights copied from the host to a GPU that computes with them (llama.cpp's op_offload).
_UNKNOWN_BUS = 31.5e9  # PCIe 4 x16
_BUS_SHARE = 0.85
_MAPPED_BANDWIDTH = 9.6e9
_SECONDS_PER_COPIED_LAYER = 1.3e-3  # activations and new KV go both ways


def decode_tps(work: Sequence[Work], machine: Machine, splits: int | None = None, sampling: float = 0.0) -> float:
    """Tokens per second of one sequence.

    `splits` is llama.cpp's number of graph splits; None: no more than the devices make necessary. `sampling`: seconds
    that choosing a token takes.
    """
    gpus = sum(item.device is not None for item in work)
    each = [decode_seconds(item, machine) for item in work]
    if is_by_tensor(work):
        return 1 / (sampling + max(each) + reduction_seconds(work, 1))
    seconds = sampling + sum(each)
    seconds += _SECONDS_PER_GPU * max(0, gpus - 1)
    if splits is not None:
        seconds += _SECONDS_PER_SPLIT * max(0, splits - gpus - 1)
    return 1 / max(seconds, 1e-9)


def prefill_tps(work: Sequence[Work], machine: Machine, prompt: Prefill | None = None) -> float:
    """Prompt tokens per second, `work` taken at the prompt's mean depth.

    Several GPUs that hold all of it work on several ubatches at once (pipeline parallelism).
    """
    prompt = prompt or Prefill()
    devices = [item.device for item in work if item.device]
    helper = next((device for device in devices if device.has_host_buffer), None)
    stages = [_prefill_seconds(item, helper, machine, prompt) for item in work]
    if is_by_tensor(work):
        return prompt.batch / (max(stages) + reduction_seconds(work, prompt.batch))
    seconds = sum(stages)
    if 1 < len(devices) == len(work):
        seconds -= _OVERLAP * (seconds - max(stages)) * (1 - 1 / prompt.batches)
    return prompt.batch / max(seconds, 1e-9)


def decode_seconds(work: Work, machine: Machine) -> float:
    """What one device takes for its part of a token."""
    if work.device is None:
        return _host_decode_seconds(work, machine)
    if (there := _lent_host(work.device)) is not None:
        return _host_decode_seconds(work, there)
    kernels = kernels_of(work.device)
    bandwidth, cycles = _bandwidth(work.device, machine), _cycles(work.device, machine)
    plain = (USUAL_CYCLES * work.weights if work.unpack is None else work.unpack) - work.slow
    unpacking = kernels.unpack * (plain + kernels.slow * work.slow)
    launches = work.layers + _ROUTING * work.routing + _RECURRENT * work.recurrent
    return (
        work.weight_bytes * kernels.slowdown / bandwidth
        + unpacking / cycles
        + work.kv_bytes * (_KV_SLOWDOWN / bandwidth + _KV_UNPACK / cycles)
        + launches * kernels.layer
    )


def _host_decode_seconds(work: Work, machine: Machine) -> float:
    bandwidth, cores = _host_bandwidth(machine), max(1, machine.cores)
    layers = work.layers * (_SECONDS_PER_HOST_LAYER + _SECONDS_PER_HOST_LAYER_AND_CORE * machine.cores)
    unpacking = (work.weights + work.slow / USUAL_CYCLES) / (_CORE_WEIGHTS * cores)
    reading = max(work.weight_bytes / bandwidth, unpacking)
    return reading + max(work.kv_bytes / bandwidth, work.kv_bytes / (_CORE_KV * cores)) + layers


def _prefill_seconds(work: Work, helper: Device | None, machine: Machine, prompt: Prefill) -> float:
    """One ubatch."""
    reached = 1 - work.untouched ** (prompt.distinct or prompt.batch)
    touched = work.stored_bytes - (1 - reached) * work.routed_bytes
    there = _lent_host(work.device) if work.device else None
    if work.device is not None and there is None:
        reading = touched / _bandwidth(work.device, machine)
        return reading + _gpu_prefill_seconds(work, work.device, machine, prompt.batch, reached)
    if there is None and helper is not None and prompt.batch >= prompt.offload.offload_batch:
        bus = _BUS_SHARE * (helper.bus or _UNKNOWN_BUS)
        copying = touched / (bus if prompt.offload.pinned else min(bus, _MAPPED_BANDWIDTH))
        copying += 2 * work.kv_bytes / bus + work.homes * _SECONDS_PER_COPIED_LAYER
        return copying + _gpu_prefill_seconds(work, helper, machine, prompt.batch, reached)
    operations = 2 * prompt.batch * (work.weights + work.attention)
    computing = operations / (_CORE_OPERATIONS * max(1, (there or machine).cores))
    return max(computing, touched / _host_bandwidth(there or machine))


def _lent_host(device: Device) -> Machine | None:
    """The other machine, where it is its CPU that computes."""
    if device.lent is None or device.lent.cores is None:
        return None
    return Machine("lent", (), device.total, device.free, device.bandwidth, device.lent.cores)


def _gpu_prefill_seconds(work: Work, device: Device, machine: Machine, batch: float, reached: float) -> float:
    kernels, cycles = kernels_of(device), _cycles(device, machine)
    quantized = kernels.operations * cycles
    floating = max(quantized, _FLOAT_SHARE * (device.flops or 0))
    launches = work.layers + _PROMPT_ROUTING * work.routing + _PROMPT_RECURRENT * work.recurrent
    tiles = _EXPERT_TOKENS * reached * work.routed
    return (
        2 * (batch * (work.weights - work.floats) + tiles) / quantized
        + 2 * batch * work.floats / floating
        + 2 * batch * work.attention / (kernels.attention * cycles)
        + launches * _SECONDS_PER_LAYER
    )


def _bandwidth(device: Device, machine: Machine) -> float:
    """Of a device; what nobody knows is taken to be no faster than the host."""
    return device.bandwidth or _host_bandwidth(machine)


def _cycles(device: Device, machine: Machine) -> float:
    return device.cycles or _bandwidth(device, machine) / _BYTES_PER_CYCLE[memory_of(device)]


def _host_bandwidth(machine: Machine) -> float:
    """What decode reaches of the host's memory."""
    return _HOST_SHARE * (machine.ram_bandwidth or _UNKNOWN_HOST_BANDWIDTH)
