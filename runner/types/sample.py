"""The machine at work, for meters. Pure data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeviceSample:
    """One device now. `used` counts every process. None where the driver does not say.

    `utilisation` in 0..1, `temperature` in degrees Celsius, `power` in watts.
    """

    device: str
    total: int
    used: int | None
    utilisation: float | None = None
    temperature: float | None = None
    power: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """The machine now, for meters at 2 Hz."""

    devices: tuple[DeviceSample, ...]
    ram_total: int
    ram_available: int
    cpu: float | None = None
