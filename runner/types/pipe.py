"""The language between the parent and the engine process: lines of JSON, one object each. Pure data.

A command is {"id": 7, "op": "load", ...its fields}. What the engine says to it is `taken` as soon as it is read, then
{"id": 7, "event": "step", "value": ...} any number of times, then one `done` with the reply or one `error` with a
Failure. `pulse` says that a command goes on, `abort` answers none. The commands are in runner.types.commands.
"""

from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from types import NoneType
from typing import Any, Generic, TypeVar, get_args

from models import errors
from models.errors import EngineError, LocalrunError

Reply = TypeVar("Reply")
Reply_co = TypeVar("Reply_co", covariant=True)
Step_co = TypeVar("Step_co", covariant=True)


class Command(Generic[Reply_co]):
    """Something to ask of the engine, a frozen dataclass; its base names the type of the reply."""

    __slots__ = ()

    @property
    def op(self) -> str:
        """Its name on the pipe."""
        return type(self).__name__.lower()

    @classmethod
    def types(cls) -> tuple[Any, Any]:
        """The types of the steps and of the reply; what is no LongCommand tells no steps."""
        (base,) = cls.__orig_bases__  # type: ignore[attr-defined]
        step, reply = (NoneType, *get_args(base))[-2:]
        return step, reply


class LongCommand(Command[Reply_co], Generic[Step_co, Reply_co]):
    """A command that tells of its steps before it replies."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Stop(Command[None]):
    """Interrupt the command with the id `target`; this one is never answered."""

    target: int


class EventKind(StrEnum):
    """What a line from the engine is."""

    TAKEN = "taken"
    STEP = "step"
    PULSE = "pulse"
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

    @property
    def error(self) -> LocalrunError:
        """The error that it was there."""
        kind = getattr(errors, self.kind, EngineError)
        found: LocalrunError = kind(self.message)
        return found


@dataclass(frozen=True, slots=True)
class LastWords:
    """What llama.cpp said before it aborted the process, and its last complaints, the oldest first."""

    message: str
    complaints: tuple[str, ...] = ()


def reply_behind(steps: Generator[object, None, Reply]) -> Reply:
    """What steps end with, which nobody wants to hear."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            reply: Reply = end.value
            return reply
