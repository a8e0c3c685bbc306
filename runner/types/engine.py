"""What an engine says of the model that it loaded. Pure data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """A step on the way to a loaded model: `fraction` in 0..1."""

    fraction: float


@dataclass(frozen=True, slots=True)
class ComponentBytes:
    """What one device really holds after the load, from llama.cpp's own breakdown."""

    device: str
    weights: int
    kv: int
    compute: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model is ready: its real context, what was allocated where, and how long it took."""

    ctx: int
    load_s: float
    memory: tuple[ComponentBytes, ...]
    template: str
    notes: tuple[str, ...] = ()
