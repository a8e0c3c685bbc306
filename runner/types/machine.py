"""Facts about hardware, measured or named. Pure: bytes, bytes per second, and None where nobody says."""

from dataclasses import dataclass, replace
from enum import StrEnum

from models.visible import one_line
from runner.types.units import gib

_LONGEST = 40  # characters of a process's name
# Bytes per second of one lane, by the generation of PCIe.
_PCIE_LANE = {1: 0.25e9, 2: 0.5e9, 3: 0.985e9, 4: 1.969e9, 5: 3.938e9, 6: 7.563e9}


def pcie_bandwidth(generation: int | None, lanes: int | None) -> float | None:
    """Bytes per second one way; None for what nobody says."""
    lane = _PCIE_LANE.get(generation or 0)
    return lane * lanes if lane and lanes else None


class Kind(StrEnum):
    """What a device is to the planner."""

    GPU = "gpu"
    IGPU = "igpu"
    RPC = "rpc"
    CPU = "cpu"


@dataclass(frozen=True, slots=True)
class Road:
    """The network to another machine: seconds there and back, and bytes per second one way (None: nobody measured)."""

    latency_s: float
    bandwidth: float | None = None


@dataclass(frozen=True, slots=True)
class Lent:
    """Another machine's device: who lends it (`host:port` or `ssh:user@host`, as typed), and its id there.

    A server of llama.cpp's own tells no id, and nothing of itself while it serves. `host` is what that machine
    calls itself; `cores` are a CPU's (None: it is none). `road`: None where nobody measured it. `keeps_weights`: what
    was sent once is found on its disk.
    """

    endpoint: str
    id: str
    host: str = ""
    cores: int | None = None
    road: Road | None = None
    keeps_weights: bool = False

    @property
    def is_heard(self) -> bool:
        """Whether it says all the time how it is."""
        return bool(self.id)

    @property
    def called(self) -> str:
        """What a person calls the machine."""
        return f"{self.host} ({self.endpoint})" if self.host else self.endpoint

    @property
    def nameless(self) -> "Lent":
        """All of it but whose it is."""
        return replace(self, endpoint="", host="")


@dataclass(frozen=True, slots=True)
class Device:
    """One device that can hold layers, under llama.cpp's own name for it (`CUDA0`, `MTL0`, `RPC0`).

    `bandwidth` is bytes per second of its memory. `overhead` is what comes on top of our buffers.
    For the speed model: `memory_type` (GDDR6X, HBM2e, ...), `flops` (dense float16 operations per second), `cycles`
    (per second, of all multiprocessors together, weighed by generation) and `bus` (bytes per second to the host).
    `shares_host_memory`: its memory is the host's RAM, counted once (of kind GPU that is Metal's alone).
    `has_host_buffer`: llama.cpp can pin host memory for it (CUDA, Vulkan), and host weights are copied to it for long
    batches. `uid` is the PCI id. `lent`: it belongs to another machine, and this is the way there.
    """

    id: str
    kind: Kind
    name: str
    total: int
    free: int
    bandwidth: float | None = None
    overhead: int = 0
    memory_type: str | None = None
    flops: float | None = None
    cycles: float | None = None
    bus: float | None = None
    shares_host_memory: bool = False
    has_host_buffer: bool = False
    uid: str | None = None
    lent: Lent | None = None

    @property
    def nameless(self) -> "Device":
        """All of it but which one it is: equal for those that are as good as each other."""
        return replace(self, id="", name="", uid=None, lent=self.lent and self.lent.nameless)


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """A device as ggml describes it; `backend` is the registry's name (CUDA, Vulkan, RPC, CPU, ...)."""

    id: str
    description: str
    kind: Kind
    backend: str
    total: int
    free: int
    uid: str | None
    has_host_buffer: bool


@dataclass(frozen=True, slots=True)
class Runtime:
    """llama.cpp as it was built: the devices it can use, the CPU included, and its backends."""

    devices: tuple[DeviceFacts, ...]
    backends: tuple[str, ...]
    version: str
    system: str


class Numa(StrEnum):
    """How llama.cpp places its threads where memory is in several nodes, by its own names for it.

    DISTRIBUTE: in turn on every node. NUMACTL: within the processors that this process may use.
    """

    DISTRIBUTE = "distribute"
    NUMACTL = "numactl"


@dataclass(frozen=True, slots=True)
class Machine:
    """One computer: `probe`d or `named` by the user. `devices` are those that can hold layers; the CPU is the rest.

    `ram_available` honours the cgroup limit. `cores` are physical. `notes` are plain sentences about what was assumed.
    `numa` is None where all memory is as near.
    """

    source: str
    devices: tuple[Device, ...]
    ram_total: int
    ram_available: int
    ram_bandwidth: float | None
    cores: int
    cpu_name: str = ""
    notes: tuple[str, ...] = ()
    numa: Numa | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds memory of a device; `bytes` and `name` are None where nobody says."""

    pid: int
    name: str | None
    bytes: int | None

    @property
    def claim(self) -> str:
        """`ollama (process 812) holds 3.2 GiB`."""
        name = one_line(self.name or "another program", _LONGEST)
        return f"{name} (process {self.pid}) holds {'some memory' if self.bytes is None else gib(self.bytes)}"
