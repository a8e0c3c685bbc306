"""What an engine process can be asked, each command with the type of its reply. Pure data.

On the pipe a command is {"id": 7, "op": "load", ...its fields}. What the engine says to it is
{"id": 7, "event": "step", "value": ...} any number of times, then one `done` with the reply or one `error` with a
Failure. `ready` and `abort` answer no command.
"""

from dataclasses import dataclass
from types import NoneType
from typing import Any, Generic, TypeVar, get_args

from runner.types.codec import unpack
from runner.types.engine import Loaded, LoadProgress, Rehearsal
from runner.types.generation import Chunk, Message, Request
from runner.types.machine import Runtime
from runner.types.plan import Placement

Reply_co = TypeVar("Reply_co", covariant=True)
Step_co = TypeVar("Step_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Command(Generic[Reply_co]):
    """Something to ask of the engine; it answers with a reply of the type in its base."""


@dataclass(frozen=True, slots=True)
class LongCommand(Command[Reply_co], Generic[Step_co, Reply_co]):
    """A command that tells of its steps before it replies."""


@dataclass(frozen=True, slots=True)
class Devices(Command[Runtime]):
    """What this llama.cpp can use; stand-ins are no hardware and left out."""


@dataclass(frozen=True, slots=True)
class AddRpc(Command[None]):
    """Make the devices that are lent at `host:port` ours. The port must answer."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class StandIns(Command[tuple[str, ...]]):
    """Ids of so many loopback devices, which act for hardware that is not here in rehearsals."""

    count: int


@dataclass(frozen=True, slots=True)
class Rehearse(Command[tuple[Rehearsal, ...]]):
    """What each placement of the model at `path` would take, without allocating; its header is enough."""

    path: str
    placements: tuple[Placement, ...]


@dataclass(frozen=True, slots=True)
class Load(LongCommand[LoadProgress, Loaded]):
    """Load the weights at `path` (the first shard)."""

    path: str
    placement: Placement


@dataclass(frozen=True, slots=True)
class Unload(Command[None]):
    """Free the model."""


@dataclass(frozen=True, slots=True)
class Count(Command[int]):
    """Tokens of a conversation as a prompt."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Generate(LongCommand[Chunk, None]):
    """Answer a request; the last chunk has a finish."""

    request: Request


@dataclass(frozen=True, slots=True)
class Grammar(Command[str]):
    """GBNF that admits exactly the JSON that fits the schema (JSON text)."""

    schema: str


@dataclass(frozen=True, slots=True)
class Lend(Command[None]):
    """Lend devices (repeats allowed) at `host:port`; this blocks until the process ends."""

    endpoint: str
    devices: tuple[str, ...]
    threads: int


@dataclass(frozen=True, slots=True)
class Stop(Command[None]):
    """Interrupt the command with the id `target`; this one is never answered."""

    target: int


_ALL: tuple[Any, ...] = (Devices, AddRpc, StandIns, Rehearse, Load, Unload, Count, Generate, Grammar, Lend, Stop)
_BY_OP = {kind.__name__.lower(): kind for kind in _ALL}
# As the base class in each definition names them: Command[Reply] or LongCommand[Step, Reply].
_TYPES: dict[Any, tuple[Any, Any]] = {kind: (NoneType, *get_args(kind.__orig_bases__[0]))[-2:] for kind in _ALL}


def op_of(command: Command[Any]) -> str:
    """The command's name on the pipe."""
    return type(command).__name__.lower()


def command_of(line: dict[str, Any]) -> Command[Any]:
    """The command in a line; ValueError for none that there is."""
    kind = _BY_OP.get(line["op"])
    if kind is None:
        raise ValueError(f"unknown command {line['op']!r}")
    command: Command[Any] = unpack(kind, line)
    return command


def types_of(command: Command[Any]) -> tuple[Any, Any]:
    """The types of a command's steps and of its reply; a short one has no steps."""
    return _TYPES[type(command)]
