"""One request, whatever the dialect that it came in, and the steps of its answer. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from runner.types.generation import Chunk, Gap, Marked, Message, TokenLogprobs
from runner.types.sampling import Sampling
from runner.types.tools import ToolCall, with_delta


@dataclass(frozen=True, slots=True)
class Constraint:
    """What an answer is held to: a JSON `schema` (JSON text), or a `grammar` (GBNF).

    `field` of the request has the schema.
    """

    schema: str | None = None
    grammar: str | None = None
    field: str = "response_format"

    @property
    def binds(self) -> bool:
        """Whether it holds an answer to something."""
        return self.schema is not None or self.grammar is not None


@dataclass(frozen=True, slots=True)
class Terms:
    """What is wanted of a loaded model besides answers: a context of at least `ctx` tokens, and that it stays loaded
    for `keep_s` seconds behind its last use (None: nothing is said).
    """

    ctx: int = 0
    keep_s: float | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants of a model: to answer a conversation, or to go on with a `raw` text, or to fill its gap.

    `sampling` has what was asked of it, limits, stops, thinking, logprobs and tools included. `thinks`: the field of
    the request that asks for thinking; empty where none does. `count` answers are wanted to the same question, and sent
    as they grow if the request `is_watched`.
    """

    model: str
    messages: tuple[Message, ...] = ()
    raw: Marked | Gap | None = None
    sampling: Sampling = Sampling()  # noqa: RUF009
    constraint: Constraint = Constraint()
    thinks: str = ""
    count: int = 1
    terms: Terms = Terms()
    is_watched: bool = True


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts that are to become vectors; the end of one that is too long is left out if it `may_cut`, else refused."""

    model: str
    texts: tuple[str, ...]
    may_cut: bool = False
    terms: Terms = Terms()


@dataclass(frozen=True, slots=True)
class Loading:
    """The model that was asked for is not ready yet: `model` is being loaded, `fraction` of it is (None: not begun)."""

    model: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A step of one of the answers to a request; `index` counts these."""

    index: int
    chunk: Chunk


Step = Loading | Piece


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer so far, of which `last` was the last step."""

    text: str = ""
    reasoning: str = ""
    logprobs: tuple[TokenLogprobs, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    last: Chunk | None = None

    def with_chunk(self, chunk: Chunk) -> Whole:
        """One step on."""
        calls, logprobs = reduce(with_delta, chunk.calls, self.calls), self.logprobs + chunk.logprobs
        return Whole(*chunk.behind(self.text, self.reasoning), logprobs, calls, chunk)
