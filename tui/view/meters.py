"""What the memory bars show: a device's bytes by what they are for, now or as planned. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from runner.types.drafts import DraftKind
from runner.types.engine import ComponentBytes, Loaded
from runner.types.machine import Device, Lent, Machine
from runner.types.plan import Candidate, MemoryRow
from runner.types.sample import DeviceSample, Sample
from tui.view.layers import CPU


class Use(StrEnum):
    """What bytes are for, in the order of a bar."""

    WEIGHTS = "weights"
    KV_USED = "KV"
    KV_FREE = "KV reserved"
    COMPUTE = "compute"
    COMPANION = "companion"
    OTHER = "other"
    FREE = "free"


@dataclass(frozen=True, slots=True)
class Meter:
    """One device's memory. `parts` add up to `total`, or to more where a plan overdraws it.

    `other_known` is False where the driver does not say what other processes hold; `sample` has the rest. `lent`: it is
    another machine's.
    """

    device: str
    name: str
    total: int
    parts: dict[Use, int]
    other_known: bool = True
    sample: DeviceSample | None = None
    lent: Lent | None = None

    @property
    def used(self) -> int:
        """Bytes that are not free."""
        return sum(self.parts.values()) - self.parts[Use.FREE]

    @property
    def kv(self) -> int:
        """The whole KV cache, used or not."""
        return self.parts[Use.KV_USED] + self.parts[Use.KV_FREE]


def as_planned(candidate: Candidate, machine: Machine) -> tuple[Meter, ...]:
    """The bars a plan promises, in the plan's order; the KV cache is drawn empty."""
    beside = {row.device: row for companion in candidate.companions for row in companion.memory}
    return tuple(_planned(row, beside.get(row.device), machine) for row in candidate.memory)


def _planned(row: MemoryRow, beside: MemoryRow | None, machine: Machine) -> Meter:
    device = _device(row.device, machine)
    total = device.total if device else machine.ram_total
    other = max(0, total - row.free) + row.overhead
    parts = _ours([row], [beside] if beside else [], 0.0) | {Use.OTHER: other}
    name, lent = (device.name, device.lent) if device else (machine.cpu_name, None)
    return Meter(row.device, name, total, _whole(parts, total), lent=lent)


def live(
    candidate: Candidate, machine: Machine, loaded: Loaded, sample: Sample, context_used: int
) -> tuple[Meter, ...]:
    """The bars now: what llama.cpp holds per device, the KV cache filled as far as the conversation is long.

    Memory shared with the host is one bar, the host's. Mapped weights lie in the page cache, which the system
    counts as available; they are taken out of what is free.
    """
    shared = {device.id for device in machine.devices if device.shares_host_memory}
    held = [component for component in loaded.held if component.device not in shared | {CPU}]
    host = [component for component in loaded.held if component.device in shared | {CPU}]
    beside = _beside(candidate, loaded)
    filled = min(1.0, context_used / max(1, loaded.ctx))
    samples = {device.device: device for device in sample.devices}
    overheads = {row.device: row.overhead for row in candidate.memory}
    bars = [
        _live(
            component,
            machine,
            _ours([component], [one for one in beside if one.device == component.device], filled),
            samples.get(component.device),
            overheads.get(component.device, 0),
        )
        for component in held
    ]
    far = [one for one in beside if one.device in shared | {CPU}]
    mapped = _mapped(candidate, host, far)
    return (*bars, _host(machine, _ours(host, far, filled), sample, mapped))


def _beside(candidate: Candidate, loaded: Loaded) -> Sequence[ComponentBytes]:
    """What the companion holds; which weights are the model's own heads only the plan knows."""
    heads = {
        row.device: row.weights
        for companion in candidate.companions
        if companion.kind is DraftKind.MTP
        for row in companion.memory
    }
    return [replace(one, weights=one.weights + heads.get(one.device, 0)) for one in loaded.companion]


def _mapped(candidate: Candidate, host: Sequence[ComponentBytes], beside: Sequence[ComponentBytes]) -> int:
    """Bytes of weights that lie in the page cache."""
    placement = candidate.placement
    if placement is None:
        return 0
    small = placement.companion.placement if placement.companion else None
    of_small = sum(one.weights for one in beside) if small else 0
    of_large = sum(one.weights for one in host) - of_small
    sizes = ((placement, of_large), (small, of_small))
    return sum(size for one, size in sizes if one is not None and one.load_mode == "mmap")


def _live(
    held: ComponentBytes, machine: Machine, ours: dict[Use, int], sample: DeviceSample | None, overhead: int
) -> Meter:
    device = _device(held.device, machine)
    total = sample.total if sample else device.total if device else 0
    used = sample.used if sample else None
    other = overhead if used is None else max(0, used - sum(ours.values()))
    parts = _whole(ours | {Use.OTHER: other}, total)
    name, lent = (device.name, device.lent) if device else (machine.cpu_name, None)
    return Meter(held.device, name, total, parts, used is not None, sample, lent)


def _host(machine: Machine, ours: dict[Use, int], sample: Sample, mapped: int) -> Meter:
    in_use = sample.ram_total - sample.ram_available
    resident = sum(ours.values()) - mapped
    processor = DeviceSample(CPU, sample.ram_total, in_use, sample.cpu)
    parts = _whole(ours | {Use.OTHER: max(0, in_use - resident)}, sample.ram_total)
    return Meter(CPU, machine.cpu_name, sample.ram_total, parts, sample=processor)


def _ours(held: Sequence[ComponentBytes], beside: Sequence[ComponentBytes], filled: float) -> dict[Use, int]:
    """Everything `held`, of which the companion has what is `beside`; the model's KV cache is filled so far."""

    def model(size: Callable[[ComponentBytes], int]) -> int:
        return max(0, sum(map(size, held)) - sum(map(size, beside)))

    kv = model(lambda one: one.kv)
    return {
        Use.WEIGHTS: model(lambda one: one.weights),
        Use.KV_USED: round(kv * filled),
        Use.KV_FREE: kv - round(kv * filled),
        Use.COMPUTE: model(lambda one: one.compute),
        Use.COMPANION: sum(one.held for one in beside),
    }


def _whole(known: dict[Use, int], total: int) -> dict[Use, int]:
    """Every part of a bar: what nobody is known to hold is free."""
    return dict.fromkeys(Use, 0) | known | {Use.FREE: max(0, total - sum(known.values()))}


def _device(id: str, machine: Machine) -> Device | None:
    return next((device for device in machine.devices if device.id == id), None)
