"""A group of computers that are not here: `2xrtx-3090,ram=64g + rtx-4090,ram=32g @10gbit,0.2ms` -> Machine.

HARDWARE   COMPUTER {" + " COMPUTER [road]}      the first is where one types, the others lend their devices to it
road       "@" number ("g" | "m") "bit" ["," number ("ms" | "us")]

A COMPUTER is as in runner.hardware.described. A road holds for its computer and those before it that have none. A +
inside a COMPUTER has no spaces; where none has any and there is a road, each + stands between computers.
"""

import re
from dataclasses import replace

from models.errors import UsageError
from runner.hardware.described import MOST_DEVICES, parse_computer
from runner.hardware.probe import cpu_device
from runner.types.machine import Device, Kind, Lent, Machine, Road

_ROAD = re.compile(
    r"(.+?)\s*@\s*(\d+(?:\.\d+)?)\s*([gm])bit(?:/s)?(?:\s*,\s*(\d+(?:\.\d+)?)\s*(ms|us))?", re.IGNORECASE
)
_HAS_ROAD = re.compile(r"@\s*[\d.]+\s*[gm]bit", re.IGNORECASE)
_MEMORY_SPEED = re.compile(r"@\s*\d+(?:\.\d+)?\s*gbps", re.IGNORECASE)
_BITS = {"g": 1e9, "m": 1e6}
_SECONDS = {"ms": 1e-3, "us": 1e-6}
_USUAL_LATENCY = 0.2e-3  # of a switch and two kernels
_ARRIVES = 0.94 / 8  # bytes a bit: what TCP leaves of Ethernet's frames of 1500


def parse_hardware(text: str) -> Machine:
    """The computer, or the group of them, that `text` describes, with nothing running. UsageError."""
    parts = _parts(text.strip())
    if len(parts) > 1:
        _check(parts)
    if not any(_ROAD.fullmatch(part) for part in parts):
        return parse_computer(text)
    if len(parts) < 2 or _ROAD.fullmatch(parts[0]):
        raise UsageError(f"{text!r} has a road and nobody at its other end; write it like A + B @10gbit,0.2ms.")
    return _group([_computer(part) for part in parts])


def _parts(text: str) -> list[str]:
    """What stands between the + that have spaces, or between all."""
    spaced = re.split(r"\s+\+\s*|\+\s+", text)
    return text.split("+") if len(spaced) == 1 and _HAS_ROAD.search(text) else spaced


def _check(parts: list[str]) -> None:
    """What stands behind an @ is a road or the speed of a memory."""
    for part in parts:
        computer, at, rest = _MEMORY_SPEED.sub("", part).partition("@")
        if at and not _ROAD.fullmatch(f"{computer or '-'}@{rest}"):
            said = f"@{rest.strip()}"
            raise UsageError(
                f"{said!r} is neither a road, like @10gbit,0.2ms, nor the speed of a memory, like @60gbps."
            )


def _computer(text: str) -> tuple[Machine, Road | None]:
    match = _ROAD.fullmatch(text)
    if match is None:
        return parse_computer(text), None
    computer, speed, unit, length, time = match.groups()
    bandwidth = float(speed) * _BITS[unit.lower()] * _ARRIVES
    if bandwidth == 0:
        raise UsageError(f"{text!r} has a road that nothing goes over; write it like @10gbit,0.2ms.")
    latency = float(length) * _SECONDS[time.lower()] if length else _USUAL_LATENCY
    return parse_computer(computer), Road(latency, bandwidth)


def _group(computers: list[tuple[Machine, Road | None]]) -> Machine:
    (here, _), *others = computers
    far = [
        _lent(device, machine, number, road)
        for number, (machine, road) in enumerate(_with_roads(others), 2)
        for device in machine.devices or (cpu_device(replace(machine, cpu_name="CPU")),)
    ]
    if len(here.devices) + len(far) > MOST_DEVICES:
        raise UsageError(f"These are more than the {MOST_DEVICES} devices that llama.cpp can use.")
    numbered = [replace(device, id=f"RPC{index}") for index, device in enumerate(far)]
    notes = dict.fromkeys(note for machine, _ in computers for note in machine.notes)
    return replace(here, devices=(*here.devices, *numbered), notes=tuple(notes))


def _with_roads(others: list[tuple[Machine, Road | None]]) -> list[tuple[Machine, Road]]:
    """Each with its own road, or else with the next that is said."""
    found: list[tuple[Machine, Road]] = []
    road: Road | None = None
    for machine, own in reversed(others):
        road = own or road
        if road is None:
            raise UsageError("Nothing says how the last computer is reached; write it like A + B @10gbit,0.2ms.")
        found.insert(0, (machine, road))
    return found


def _lent(device: Device, machine: Machine, number: int, road: Road) -> Device:
    """As the first computer sees it: its memory is nobody else's, and no host's is pinned for it."""
    cores = machine.cores if device.kind is Kind.CPU else None
    lent = Lent(f"computer {number}", device.id, cores=cores, road=road)
    return replace(device, kind=Kind.RPC, shares_host_memory=False, has_host_buffer=False, lent=lent)
