"""That an answer is slower than predicted, and the likeliest cause that can be seen. Pure data.

Rates are per second, sizes in bytes.
"""

from dataclasses import dataclass

from runner.types.sample import Throttle


@dataclass(frozen=True, slots=True)
class DriverSpill:
    """The driver keeps a part of the GPU's memory in host memory."""

    device: str


@dataclass(frozen=True, slots=True)
class Swapping:
    """The system reads swapped memory back."""

    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class DiskReads:
    """Weights are read from disk while it decodes: memory does not hold them. None: only page faults show it."""

    bytes_per_s: float | None


@dataclass(frozen=True, slots=True)
class Throttled:
    """A device (`CPU`: the processor) has lowered its clocks."""

    device: str
    why: Throttle


@dataclass(frozen=True, slots=True)
class DeviceShared:
    """Another process computes on the GPU."""

    device: str
    claim: str


@dataclass(frozen=True, slots=True)
class FewerCores:
    """The engine may use fewer cores than its threads were planned for."""

    cores: float
    threads: int


@dataclass(frozen=True, slots=True)
class CoresTaken:
    """Other processes use so many cores, most of it by `name`, and the engine's threads wait for theirs."""

    name: str
    pid: int
    cores: float


@dataclass(frozen=True, slots=True)
class BandwidthShared:
    """The engine has its cores, but another busy process may read the same memory."""

    name: str
    pid: int
    cores: float


@dataclass(frozen=True, slots=True)
class OnBattery:
    """The computer runs on its battery."""


@dataclass(frozen=True, slots=True)
class LongContext:
    """So many tokens are read again for each new one; the prediction is for `predicted_at`."""

    tokens: int
    predicted_at: int


Cause = (
    DriverSpill
    | Swapping
    | DiskReads
    | Throttled
    | DeviceShared
    | FewerCores
    | CoresTaken
    | BandwidthShared
    | OnBattery
    | LongContext
)


@dataclass(frozen=True, slots=True)
class Slowness:
    """Decode has stayed `below` the prediction (a share of it) for a while; `cause` None: nothing that can be seen."""

    below: float
    cause: Cause | None
