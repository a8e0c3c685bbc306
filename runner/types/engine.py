"""What an engine says of the models that it loads or rehearses. Pure data."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """A step on the way to a loaded model: `fraction` in 0..1."""

    fraction: float


@dataclass(frozen=True, slots=True)
class ComponentBytes:
    """What one device holds of a model, in bytes; everything in host memory is held by `CPU`."""

    device: str
    weights: int
    kv: int
    compute: int

    @property
    def held(self) -> int:
        """All three."""
        return self.weights + self.kv + self.compute


def summed(*parts: Iterable[ComponentBytes]) -> tuple[ComponentBytes, ...]:
    """What several hold together: a row for each device, the CPU last."""
    sums: dict[str, list[int]] = {}
    for row in chain.from_iterable(parts):
        held = sums.setdefault(row.device, [0, 0, 0])
        held[:] = held[0] + row.weights, held[1] + row.kv, held[2] + row.compute
    names = [*(name for name in sums if name != "CPU"), *(name for name in sums if name == "CPU")]
    return tuple(ComponentBytes(name, *sums[name]) for name in names)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model is ready: its real context, what was allocated where (the CPU last), and how long it took.

    `companion`: what the placement's companion holds beside, as in a Rehearsal.
    """

    ctx: int
    load_s: float
    memory: tuple[ComponentBytes, ...]
    template: str
    notes: tuple[str, ...] = ()
    companion: tuple[ComponentBytes, ...] = ()

    @property
    def held(self) -> tuple[ComponentBytes, ...]:
        """Everything, the companion's included."""
        return summed(self.memory, self.companion) if self.companion else self.memory


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What one placement would take (the CPU last); None where llama.cpp refuses it, and `refusal` says why.

    `companion`: what the model's own nextn layers take beside `memory`, which has their weights already: caches and
    buffers of a second context. A companion that is a model is rehearsed by itself, as the file and placement it has.
    """

    memory: tuple[ComponentBytes, ...] | None
    refusal: str | None = None
    companion: tuple[ComponentBytes, ...] = ()
