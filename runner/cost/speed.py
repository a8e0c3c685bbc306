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
pinned, at 9.6 GB/s where they are mapped from the file; so are the caches
of layers that live there. Only experts that some token of the ubatch is routed to are
read or copied. Batches below 32 tokens are computed where the weights are.

"Cycles" are those of all multiprocessors together (`Device.cycles`). That llama.cpp's integer kernels do about as much
in each cycle of each NVIDIA card since Ampere is what lets one set of constants hold from an RTX 3060 to an H100.

Every constant was fitted by least absolute relative errors to tests/data/published_speeds_2026.toml (llama.cpp's own
scoreboards and others, 2025 and 2026, later builds counting more) and tests/data/h100.toml (measured), and rounded;
`scripts/checks/fit_speed.py` prints how far the model is from all of them, and the spreads at the end of this module.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from runner.types.machine import Device, Machine
from runner.types.plan import Spread


@dataclass(frozen=True, slots=True)
class Work:
    """What one device (None: the host's CPU) does for one token.

    `weight_bytes`, `weights`: bytes and number of the weights that decode reads (a routed expert counts used/total);
    `floats` of them are stored as floats. `unpack`: cycles of one multiprocessor that unpacking them takes, `slow` of
    them for types that some backends are bad at; None: as for K-quants. `kv_bytes`: KV cache read at the depth in
    question; `attention`: multiply-adds of attention there. `stored_bytes`: all weights lying there, of which
    `routed_bytes` (`routed` weights) are experts; each token leaves the share `untouched` of them alone. `layers`:
    layers that compute here, fractions for parts of a layer; `homes` whole ones, with their caches; `routing` of them
    route, `recurrent` keep a state.
    """

    device: Device | None
    weight_bytes: float
    weights: float
    kv_bytes: float = 0.0
    stored_bytes: float = 0.0
    layers: float = 0.0
    homes: int = 0
    floats: float = 0.0
    unpack: float | None = None
    slow: float = 0.0
    attention: float = 0.0
    routed: float = 0.0
    routed_bytes: float = 0.0
    untouched: float = 0.0
    routing: float = 0.0
    recurrent: float = 0.0


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
# Bytes of bandwidth per cycle, for devices whose cycles nobody states: about the middle of those that are known.
_BYTES_PER_CYCLE = {Memory.GDDR: 4.5, Memory.HBM: 12.5, Memory.UNIFIED: 4.0}

_UNPACK = 0.0255  # cycles per weight: K-quants, as in runner.cost.blocks
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
_CORE_KV = 0.9e9
# Measured with SmolLM2-135M Q4_1 on one Zen 4 core: 141 tok/s of decode, 143 tok/s of prefill.
_CORE_WEIGHTS = 19e9
_CORE_OPERATIONS = 40e9

# Batches this long compute on a GPU with weights copied from the host (llama.cpp's op_offload).
_OFFLOAD_BATCH = 32
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
    seconds = sampling + sum(_decode_seconds(item, machine) for item in work)
    seconds += _SECONDS_PER_GPU * max(0, gpus - 1)
    if splits is not None:
        seconds += _SECONDS_PER_SPLIT * max(0, splits - gpus - 1)
    return 1 / max(seconds, 1e-9)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt of `tokens`, computed `ubatch` at a time; `distinct` of a ubatch's tokens differ (None: all of them).

    `pinned`: whether weights in the host's memory can be copied at the bus's full rate.
    """

    tokens: int = 512
    ubatch: int = 512
    pinned: bool = True
    distinct: int | None = None

    @property
    def batches(self) -> int:
        """How many ubatches it takes."""
        return max(1, -(-self.tokens // max(1, self.ubatch)))

    @property
    def batch(self) -> float:
        """Tokens of a mean ubatch."""
        return max(1, self.tokens) / self.batches


def prefill_tps(work: Sequence[Work], machine: Machine, prompt: Prompt | None = None) -> float:
    """Prompt tokens per second, `work` taken at the prompt's mean depth.

    Several GPUs that hold all of it work on several ubatches at once (pipeline parallelism).
    """
    prompt = prompt or Prompt()
    devices = [item.device for item in work if item.device]
    helper = next((device for device in devices if device.has_host_buffer), None)
    seconds = sum(_prefill_seconds(item, helper, machine, prompt) for item in work)
    if 1 < len(devices) == len(work):
        seconds *= 1 - _OVERLAP * (1 - 1 / len(devices)) * (1 - 1 / prompt.batches)
    return prompt.batch / max(seconds, 1e-9)


def memory_of(device: Device) -> Memory:
    """The kind of memory a device has; unknown counts as a graphics card's."""
    kind = (device.memory_type or "GDDR").upper()
    if kind.startswith("HBM"):
        return Memory.HBM
    if device.shares_host_memory or not kind.startswith("GDDR"):
        return Memory.UNIFIED
    return Memory.GDDR


def kernels_of(device: Device) -> Kernels:
    """How the device's backend does on its memory; what is not known is reckoned like CUDA."""
    by_memory = KERNELS.get(backend_of(device), KERNELS["CUDA"])
    return by_memory.get(memory_of(device)) or next(iter(by_memory.values()))


_NVIDIA = ("nvidia", "geforce", "rtx", "gtx", "quadro", "tesla")


def backend_of(device: Device) -> str:
    """The backend by the id that llama.cpp gives its devices, told apart where hardware decides as much."""
    backend, name = device.id.rstrip("0123456789"), device.name.casefold()
    if backend == "MTL":
        return "Metal since M5" if "m5" in name else "Metal"
    if backend == "Vulkan" and ("intel" in name or "arc" in name.split()):
        return "Vulkan on Intel"
    if backend == "Vulkan" and any(word in name for word in _NVIDIA):
        return "Vulkan on NVIDIA"
    return backend


def _decode_seconds(work: Work, machine: Machine) -> float:
    if work.device is None:
        return _host_decode_seconds(work, machine)
    kernels, bandwidth, cycles = (
        kernels_of(work.device),
        _bandwidth(work.device, machine),
        _cycles(work.device, machine),
    )
    plain = (_UNPACK * work.weights if work.unpack is None else work.unpack) - work.slow
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
    reading = max(work.weight_bytes / bandwidth, work.weights / (_CORE_WEIGHTS * cores))
    return reading + max(work.kv_bytes / bandwidth, work.kv_bytes / (_CORE_KV * cores)) + layers


def _prefill_seconds(work: Work, helper: Device | None, machine: Machine, prompt: Prompt) -> float:
    """One ubatch."""
    reached = 1 - work.untouched ** (prompt.distinct or prompt.batch)
    touched = work.stored_bytes - (1 - reached) * work.routed_bytes
    if work.device is not None:
        return _gpu_prefill_seconds(work, work.device, machine, prompt.batch, reached) + touched / _bandwidth(
            work.device, machine
        )
    if helper is not None and prompt.batch >= _OFFLOAD_BATCH:
        bus = _BUS_SHARE * (helper.bus or _UNKNOWN_BUS)
        copying = touched / (bus if prompt.pinned else min(bus, _MAPPED_BANDWIDTH))
        copying += 2 * work.kv_bytes / bus + work.homes * _SECONDS_PER_COPIED_LAYER
        return copying + _gpu_prefill_seconds(work, helper, machine, prompt.batch, reached)
    operations = 2 * prompt.batch * (work.weights + work.attention)
    computing = operations / (_CORE_OPERATIONS * max(1, machine.cores))
    return max(computing, touched / _host_bandwidth(machine))


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


# Measured over predicted, at the tenth and the ninetieth of a hundred rows of each kind: how sure a speed is. As
# `scripts/checks/fit_speed.py --spread` prints them; kinds with few rows have those of all.
SPREADS: Mapping[str, Spread] = {
    "CUDA, GDDR": Spread((0.9, 1.11), (0.78, 1.13)),
    "CUDA, HBM": Spread((0.95, 1.06), (0.74, 1.08)),
    "CUDA, unified": Spread((0.87, 1.07), (0.81, 1.27)),
    "Metal": Spread((0.87, 1.08), (0.71, 1.26)),
    "ROCm": Spread((0.92, 1.11), (0.85, 1.11)),
    "SYCL": Spread((0.84, 1.1), (0.73, 1.01)),
    "Vulkan": Spread((0.95, 1.08), (0.81, 1.4)),
    "Vulkan on Intel": Spread((0.73, 1.06), (0.75, 1.15)),
    "Vulkan on NVIDIA": Spread((0.87, 1.1), (0.76, 1.21)),
    "all": Spread((0.87, 1.1), (0.76, 1.21)),
    "several GPUs": Spread((0.7, 1.12), (0.52, 1.49)),
    "split with the host": Spread((0.42, 1.03), (0.6, 1.14)),
}


def spread_class(work: Sequence[Work]) -> str:
    """The kind of layout whose rows tell how sure its speed is."""
    devices = [item.device for item in work if item.device is not None]
    if not devices:
        return "CPU"
    if len(devices) < len(work):
        return "split with the host"
    if len(devices) > 1:
        return "several GPUs"
    backend = backend_of(devices[0])
    return f"{backend}, {memory_of(devices[0])}" if backend == "CUDA" else backend


def spread_of(work: Sequence[Work]) -> Spread:
    """How far speeds measured for layouts of this kind were from what is predicted for them."""
    return SPREADS.get(spread_class(work)) or SPREADS["all"]
