"""What the server of warm engines is asked over its socket, and what it says: a connection for each command. Pure data.

The lines are those of `runner.types.pipe`. A client that has no more to say of a command closes its half: the command
is stopped, and still ends with its last event.
"""

from dataclasses import dataclass
from typing import Any

from runner.types.codec import unpack
from runner.types.engine import ComponentBytes, Loaded, LoadProgress
from runner.types.generation import Chunk, Message, Request
from runner.types.pipe import Command, LongCommand
from runner.types.placement import Placement
from runner.types.wish import Wish


@dataclass(frozen=True, slots=True)
class Question:
    """What a model was asked for with: its name, absolute where it is a path, and the wish as it was typed."""

    name: str
    wish: Wish


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose words these are: the folder of the program, and what of the environment decides about models.

    `settings`: names and values, sorted.
    """

    root: str
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Attached:
    """A loaded model to ask by its `number`; None: there is none for the question, and `why` may say more.

    `is_outdated`: the server is of another version of the program. `facts` are what only some front ends look at, as
    `runner.client.attached` reads them.
    """

    number: int | None = None
    why: str = ""
    is_outdated: bool = False
    quant: str = ""
    placement: Placement | None = None
    loaded: Loaded | None = None
    facts: Any = None


@dataclass(frozen=True, slots=True)
class Attach(LongCommand[LoadProgress, Attached]):
    """The model for a question; it stays loaded as long as the connection is there, and `keep_s` seconds longer.

    None: as long as it is kept anyway. One that is not loaded is loaded if it `may_load`.
    """

    question: Question
    caller: Caller
    keep_s: float | None = None
    may_load: bool = False


@dataclass(frozen=True, slots=True)
class Slow:
    """A `Slowness` on its way: `cause` is one of `runner.types.slowness`, of the class `kind`, in its JSON form."""

    below: float
    kind: str = ""
    cause: Any = None


@dataclass(frozen=True, slots=True)
class Ask(LongCommand[Chunk, Slow | None]):
    """Answer a request; replies with what `Session.slowness` is then."""

    number: int
    request: Request


@dataclass(frozen=True, slots=True)
class Tokens(Command[int]):
    """How many a conversation has, or `raw` text."""

    number: int
    messages: tuple[Message, ...] = ()
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class Rules(Command[str]):
    """GBNF that admits exactly the JSON that fits the schema (JSON text)."""

    number: int
    schema: str


@dataclass(frozen=True, slots=True)
class Remember(Command[None]):
    """Let what is in the caches of a conversation outlive the engine; without messages, go on from what did."""

    number: int
    name: str
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class WarmModel:
    """A loaded model. `keeps_until`: when it ends if nobody asks, in seconds since 1970, `ends_in_s` from now.

    None: it is in use, or its server keeps it as long as it runs. `idle_s`: seconds since it was in use, 0 while it is.
    `requests` are under way, `clients` are attached.
    """

    name: str
    quant: str
    verdict: str
    ctx: int
    memory: tuple[ComponentBytes, ...]
    placement: Placement
    idle_s: float
    keeps_until: float | None
    ends_in_s: float | None
    requests: int
    clients: int
    pid: int


@dataclass(frozen=True, slots=True)
class Residents(Command[tuple[WarmModel, ...]]):
    """What is loaded, that asked last first."""


@dataclass(frozen=True, slots=True)
class End(Command[tuple[str, ...]]):
    """End the engines of a model, or of all; their names. `is_idle`: not one that somebody asks or is attached to."""

    name: str | None = None
    is_idle: bool = False


_BY_OP: dict[str, Any] = {
    kind.__name__.lower(): kind for kind in (Attach, Ask, Tokens, Rules, Remember, Residents, End)
}


def asked_of(line: Any) -> Command[Any]:
    """The command in a line from a socket; ValueError or TypeError for none that there is."""
    kind = _BY_OP.get(str(line.get("op"))) if isinstance(line, dict) else None
    if kind is None:
        raise ValueError("unknown command")
    command: Command[Any] = unpack(kind, line)
    return command
