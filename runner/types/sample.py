"""The machine at work: for meters, and to find out what holds an engine up. Pure data."""

from dataclasses import dataclass
from enum import StrEnum

from runner.types.machine import Holder


@dataclass(frozen=True, slots=True)
class DeviceSample:
    """One device now. `used` counts every process. None where the driver does not say.

    `utilisation` in 0..1, `temperature` in degrees Celsius, `power` in watts. `traffic`: bytes over the network, both
    ways, for a device of another machine.
    """

    device: str
    total: int
    used: int | None
    utilisation: float | None = None
    temperature: float | None = None
    power: float | None = None
    traffic: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """The machine now, for meters at 2 Hz."""

    devices: tuple[DeviceSample, ...]
    ram_total: int
    ram_available: int
    cpu: float | None = None


class Throttle(StrEnum):
    """What keeps a device's clocks down."""

    POWER = "power"
    HEAT = "heat"


@dataclass(frozen=True, slots=True)
class DeviceStrain:
    """What holds one device up: `others` compute on it, `throttled` says what keeps its clocks down.

    `used` bytes of `total` by every process, None where the driver does not say.
    """

    device: str
    total: int
    used: int | None
    throttled: frozenset[Throttle] = frozenset()
    others: tuple[Holder, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessTime:
    """A process and the processor time that it has used since it began, in seconds."""

    pid: int
    name: str
    cpu_s: float


@dataclass(frozen=True, slots=True)
class EngineUse:
    """What an engine has used since it began: processor seconds, bytes read from disks, pages waited for.

    `cores` are those that it may use at this moment, a quota of time included; `held_s` seconds went by in which the
    quota was used up. None for what the system does not say.
    """

    cpu_s: float
    cores: float
    disk_read: int | None = None
    major_faults: int | None = None
    held_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Strain:
    """All that may hold an engine up, at `at` seconds of a clock; two of these say what happened in between.

    `swapped_in` bytes since the system started; `overheated` counts how often the processor slowed down for heat.
    `spills`: the driver puts what does not fit a GPU into host memory (Windows, WSL).
    """

    at: float
    devices: tuple[DeviceStrain, ...]
    engine: EngineUse
    others: tuple[ProcessTime, ...] = ()
    swapped_in: int = 0
    overheated: int = 0
    on_battery: bool = False
    spills: bool = False
