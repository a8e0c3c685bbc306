"""What an engine process says: of the models that it loads or rehearses, and of its own failures. Pure data."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


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


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model is ready: its real context, what was allocated where (the CPU last), and how long it took."""

    ctx: int
    load_s: float
    memory: tuple[ComponentBytes, ...]
    template: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What one placement would take (the CPU last); None where llama.cpp refuses it, and `refusal` says why."""

    memory: tuple[ComponentBytes, ...] | None
    refusal: str | None = None


class EventKind(StrEnum):
    """What a line from the engine is."""

    READY = "ready"
    STEP = "step"
    DONE = "done"
    ERROR = "error"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Event:
    """A line from the engine; `value` is in its JSON form, for its type depends on the command."""

    id: int
    event: EventKind
    value: Any = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a command failed: the name of a class in models.errors, and its sentence."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class LastWords:
    """What llama.cpp said before it aborted the process, and its last complaints, the oldest first."""

    message: str
    complaints: tuple[str, ...] = ()
