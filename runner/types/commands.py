"""What an engine process can be asked, each command with the types of its steps and its reply. Pure data."""

from dataclasses import dataclass
from typing import Any

from runner.types.codec import unpack
from runner.types.engine import Loaded, LoadProgress, Rehearsal
from runner.types.generation import Chunk, Message, Request
from runner.types.machine import Runtime
from runner.types.pipe import Command, LongCommand
from runner.types.placement import Placement
from runner.types.rpc import Version
from runner.types.sampling import Sampling
from runner.types.templating import Templating
from runner.types.vectors import Made


@dataclass(frozen=True, slots=True)
class Devices(Command[Runtime]):
    """What this llama.cpp can use; stand-ins are no hardware and left out."""


@dataclass(frozen=True, slots=True)
class AddRpc(Command[None]):
    """Make the devices that are lent at `host:port` ours. The port must answer."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class Protocol(Command[Version]):
    """The version of RPC that this llama.cpp speaks."""


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
    """Tokens of a conversation as the prompt of an answer that is made with `sampling`, or of `raw` text as it is."""

    messages: tuple[Message, ...] = ()
    raw: str | None = None
    sampling: Sampling = Sampling()  # noqa: RUF009


@dataclass(frozen=True, slots=True)
class Kept:
    """States of `owner` in a folder, which a prompt may start from where that saves it so many tokens at `least`."""

    folder: str
    owner: str
    least: int


@dataclass(frozen=True, slots=True)
class Generate(LongCommand[Chunk, None]):
    """Answer a request; the last chunk has a finish. What is `kept` on the disk of its beginning need not be read."""

    request: Request
    kept: Kept | None = None


@dataclass(frozen=True, slots=True)
class KeepState(Command[int]):
    """Write what the caches hold of a conversation to `path`; how many bytes that were.

    0 where they hold nothing of it, or more than `most` bytes, for which the older checkpoints are left out. `owner`
    says whose state it is; nobody else will restore it.
    """

    path: str
    owner: str
    messages: tuple[Message, ...]
    templating: Templating = Templating()  # noqa: RUF009
    most: int | None = None


@dataclass(frozen=True, slots=True)
class RestoreState(Command[int]):
    """Let the caches hold what is at `path`; how many tokens that are, 0 where it is of no use."""

    path: str
    owner: str


@dataclass(frozen=True, slots=True)
class Embed(LongCommand[tuple[Made, ...], None]):
    """A vector for each text, in order, a step for all that were computed at once.

    `truncate` leaves out the end of a text that is too long; else that one is refused.
    """

    texts: tuple[str, ...]
    truncate: bool = False


@dataclass(frozen=True, slots=True)
class Score(LongCommand[tuple[Made, ...], None]):
    """How well each text answers the query, as `Embed`; what is left out is the end of the text."""

    query: str
    texts: tuple[str, ...]
    truncate: bool = False


@dataclass(frozen=True, slots=True)
class Grammar(Command[str]):
    """GBNF that admits exactly the JSON that fits the schema (JSON text)."""

    schema: str


@dataclass(frozen=True, slots=True)
class Understand(Command[str]):
    """The same GBNF, if llama.cpp understands it, with or without a model; else UsageError."""

    gbnf: str


@dataclass(frozen=True, slots=True)
class Lend(Command[None]):
    """Lend devices (repeats allowed) at `host:port`; this blocks until the process ends.

    `keeps`: a folder for large tensors that were sent, so that the next time their hashes do.
    """

    endpoint: str
    devices: tuple[str, ...]
    threads: int
    keeps: str | None = None


_BY_OP: dict[str, Any] = {
    kind.__name__.lower(): kind
    for kind in (
        *(
            Devices,
            AddRpc,
            Protocol,
            StandIns,
            Rehearse,
            Load,
            Unload,
            Count,
            Generate,
            KeepState,
            RestoreState,
            Embed,
            Score,
        ),
        *(Grammar, Understand, Lend),
    )
}


def command_of(line: dict[str, Any]) -> Command[Any]:
    """The command in a line from the pipe; ValueError for none that there is."""
    kind = _BY_OP.get(line["op"])
    if kind is None:
        raise ValueError(f"unknown command {line['op']!r}")
    command: Command[Any] = unpack(kind, line)
    return command
