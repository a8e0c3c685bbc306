"""The machine as a wish narrows it: chosen devices, capped memory, proportions. Pure."""

from dataclasses import replace

from models.errors import UsageError
from runner.types.machine import Device, Kind, Machine
from runner.types.wish import Wish

_CPU_ONLY = {"cpu", "none"}


def limited(machine: Machine, wish: Wish) -> Machine:
    """The machine with the wished devices only, in the wished order, and no more memory than the limits allow.

    Unasked, integrated GPUs are left out beside discrete ones, as llama.cpp does. UsageError for an unknown device
    or proportions that do not match the devices.
    """
    devices = _wished(machine, wish.devices) if wish.devices is not None else _usual(machine)
    if wish.tensor_split is not None:
        devices = _with_share(devices, wish.tensor_split)
    if wish.vram_limit is not None:
        devices = tuple(replace(device, free=min(device.free, wish.vram_limit)) for device in devices)
    if wish.ram_limit is not None:
        total, available = (min(size, wish.ram_limit) for size in (machine.ram_total, machine.ram_available))
        machine = replace(machine, ram_total=total, ram_available=available)
    return replace(machine, devices=devices)


def shares_of(wish: Wish) -> tuple[float, ...] | None:
    """The proportions of `--tensor-split` that are not zero: one for each device of the limited machine."""
    return wish.tensor_split and tuple(share for share in wish.tensor_split if share > 0)


def _usual(machine: Machine) -> tuple[Device, ...]:
    usable = tuple(device for device in machine.devices if device.kind is not Kind.CPU)
    discrete = any(device.kind is Kind.GPU for device in usable)
    return tuple(device for device in usable if not (discrete and device.kind is Kind.IGPU))


def _wished(machine: Machine, ids: tuple[str, ...]) -> tuple[Device, ...]:
    known = {device.id.casefold(): device for device in machine.devices}
    names = [name.strip().casefold() for name in ids]
    if set(names) <= _CPU_ONLY:
        return ()
    for name in names:
        if name not in known:
            offered = ", ".join(device.id for device in machine.devices) or "no devices, only the CPU"
            raise UsageError(f"There is no device {name!r}; this machine has {offered}.")
    return tuple(known[name] for name in dict.fromkeys(names))


def _with_share(devices: tuple[Device, ...], split: tuple[float, ...]) -> tuple[Device, ...]:
    if len(split) != len(devices):
        raise UsageError(f"--tensor-split has {len(split)} shares for {len(devices)} devices.")
    if any(share < 0 for share in split) or not sum(split) > 0:
        raise UsageError("--tensor-split takes shares of 0 or more, and one of them above 0.")
    return tuple(device for device, share in zip(devices, split, strict=True) if share > 0)
