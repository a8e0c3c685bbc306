"""From what somebody calls a GPU to what is known of it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache

from models.errors import UsageError
from runner.hardware.gpu_table import GpuModel, gpu_models
from runner.types.machine import Device
from runner.types.units import GIB, gib

_ALIASES = {"dgxspark": "gb10", "strixhalo": "8060s"}
_IGNORED = re.compile("nvidia|geforce|radeon|quadro|generation|amd|intel|apple|gpu")
_VARIANTS = {"mobile", "q", "sff", "embedded", "d", "v2"}  # count only when named
_SIZE = re.compile(r"(?<![a-z0-9])(\d+)\s*g(?:i?b)?(?![a-z0-9])")
_GLUED_SIZES = [re.compile(rf"(.*\D\d*)([1-9]\d{{{digits}}})g(?:i?b)?") for digits in (0, 1, 2)]
_STACKED = re.compile(r"(?<![a-z])hbm\d?e?(?![a-z0-9])")


def find_gpu(text: str) -> tuple[GpuModel, str | None]:
    """The GPU somebody means by `text`, and a sentence where a choice was made for them.

    Case, spaces, hyphens and makers' words do not matter; `sxm` is SXM4 or SXM5; an exact name wins; a size must
    match; laptop, Max-Q, SFF and regional variants count only when named. Of several with equal memory it is
    the slowest. Raises UsageError when nothing matches or when the matches differ in memory.
    """
    found = _matches(text)
    if not found:
        raise UsageError(f"No GPU named {text!r} is known. {_hint(text)}")
    if len({gpu.memory for gpu in found}) > 1:
        raise UsageError(f"{text!r} can be {_listed(found)}; name the one you mean.")
    slowest = min(found, key=_speed)
    if len(found) == 1:
        return slowest, None
    return slowest, f"{text!r} can be {_listed(found)}; reckoned with the slowest, {slowest.name}."


def with_specs(device: Device) -> Device:
    """`device` with bandwidth, memory type and arithmetic from the table where it does not say them itself."""
    name = re.sub(r"\(.*?\)", "", device.name)
    found = [gpu for gpu in _matches(name) if not gpu.memory or _alike(gpu.memory, device.total)]
    if not found:
        return device
    gpu = min(found, key=_speed)
    return replace(
        device,
        bandwidth=device.bandwidth or gpu.bandwidth,
        memory_type=device.memory_type or gpu.memory_type,
        flops=device.flops or gpu.flops,
        cycles=device.cycles or gpu.cycles,
        bus=device.bus or gpu.bus,
    )


def _speed(gpu: GpuModel) -> tuple[float, float, str]:
    return gpu.bandwidth or 0, gpu.flops or 0, gpu.name


def _alike(named: int, reported: int) -> bool:
    """Drivers report up to a tenth less than the name says."""
    return 0.88 <= reported / named <= 1.05


def _listed(gpus: Iterable[GpuModel]) -> str:
    return ", ".join(f"{name} ({gib(memory)})" for name, memory in sorted({(gpu.name, gpu.memory) for gpu in gpus}))


def _hint(text: str) -> str:
    names = {_squeeze(entry.gpu.name): entry.gpu.name for entry in _table()}
    near = get_close_matches(_squeeze(text), names, n=3, cutoff=0.7)
    if near:
        return f"Near: {', '.join(names[name] for name in near)}."
    return "Describe it, like gpu=24g@1008gbps."


def _matches(text: str) -> list[GpuModel]:
    """The GPUs that fit best: those with the fewest words in their name that `text` lacks."""
    wanted = text.lower()
    stacked = _STACKED.search(wanted)
    for name, size in _readings(_STACKED.sub("", wanted)):
        scored = ((_left_over(name, entry.words), entry) for entry in _table() if entry.holds(size))
        found = [(left, entry) for left, entry in scored if left is not None]
        if stacked:
            found = [(left, entry) for left, entry in found if (entry.gpu.memory_type or "").lower() == stacked.group()]
        if found:
            fewest = min(left for left, _ in found)
            best = [entry for left, entry in found if left == fewest]
            exact = [entry for entry in best if fewest == 0 and size is None and not entry.sized]
            return [entry.gpu for entry in exact or best]
    return []


def _readings(wanted: str) -> list[tuple[str, int | None]]:
    """Ways to read a name as letters and a size in GB: `a100-80gb`, but also `a10080gb`."""
    size = _SIZE.search(wanted)
    if size:
        return [(_squeeze(wanted[: size.start()] + wanted[size.end() :]), int(size.group(1)))]
    name = _squeeze(wanted)
    glued = (pattern.fullmatch(name) for pattern in _GLUED_SIZES)
    return [(name, None), *((match.group(1), int(match.group(2))) for match in glued if match)]


def _squeeze(text: str) -> str:
    name = _IGNORED.sub("", re.sub(r"[^a-z0-9]", "", text.lower())).replace("laptop", "mobile")
    return _ALIASES.get(name, name)


def _left_over(wanted: str, words: tuple[str, ...]) -> int | None:
    """The fewest words left over when words, in their order, spell `wanted`; a variant's word may not be left."""
    if not words:
        return 0 if not wanted else None
    first, rest = words[0], words[1:]
    spellings = {first, "sxm"} if first.startswith("sxm") else {first}
    counts = [_left_over(wanted.removeprefix(word), rest) for word in spellings if wanted.startswith(word)]
    skipped = None if first in _VARIANTS else _left_over(wanted, rest)
    if skipped is not None:
        counts.append(skipped + 1)
    return min((count for count in counts if count is not None), default=None)


@dataclass(frozen=True, slots=True)
class _Named:
    """A GPU with the words of its name, without makers and size; `sized` tells whether it had a size."""

    gpu: GpuModel
    words: tuple[str, ...]
    sized: bool

    def holds(self, size: int | None) -> bool:
        """Whether it has `size` GB of its own."""
        return size is None or self.gpu.memory == size * GIB


@cache
def _table() -> tuple[_Named, ...]:
    return tuple(map(_named, gpu_models()))


def _named(gpu: GpuModel) -> _Named:
    name = gpu.name.lower()
    words = re.split(r"[^a-z0-9]+", _SIZE.sub("", name))
    kept = tuple(word for word in words if word and not _IGNORED.fullmatch(word))
    return _Named(gpu, kept, _SIZE.search(name) is not None)
