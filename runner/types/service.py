"""What the screens ask for: the seam between them and whatever plans, downloads and runs models. Pure.

Everything here may block and is called from worker threads; the screens never wait for it. Errors meant for a
person are `LocalrunError`s, raised by the call or by the iterator it returned.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from models.headers.recommended import Recommended
from models.weights import Progress
from runner.types.engine import Loaded, LoadProgress
from runner.types.generation import Chunk, Message
from runner.types.placement import Placement
from runner.types.plan import Candidate, Plan, Terms, Verdict
from runner.types.sample import Sample
from runner.types.sampling import Sampling
from runner.types.slowness import Slowness
from runner.types.wish import Wish


@dataclass(frozen=True, slots=True)
class Choice:
    """A row of the picker: a model that is here, or that would run well here.

    `name` is what `Service.plan` takes. `quant`, `verdict` and `decode_tps` (predicted or measured) are None where
    nobody has looked; `bytes` is the size of its files; `note` one plain sentence, or nothing.
    """

    name: str
    quant: str | None = None
    bytes: int | None = None
    is_here: bool = False
    verdict: Verdict | None = None
    decode_tps: float | None = None
    note: str = ""


class Session(Protocol):
    """A loaded model; `placement` and `candidate` are what really runs, maybe less than `plan` chose."""

    @property
    def plan(self) -> Plan:
        """The plan that was loaded."""

    @property
    def is_kept(self) -> bool:
        """Whether its engine is kept warm by another process: the plan was made there, and cannot be loaded here."""

    @property
    def candidate(self) -> Candidate:
        """The candidate that runs, with what was predicted for it."""

    @property
    def placement(self) -> Placement:
        """What llama.cpp was told."""

    @property
    def loaded(self) -> Loaded:
        """What llama.cpp answered: real context, bytes per device."""

    @property
    def recommended(self) -> tuple[Recommended, ...]:
        """How the model's maker wants it sampled."""

    @property
    def slowness(self) -> Slowness | None:
        """Why the answer under way, or the last one, is slower than predicted; None where it is not."""

    def generate(
        self, messages: Sequence[Message], sampling: Sampling, *, continue_last: bool = False, is_watched: bool = True
    ) -> Iterator[Chunk]:
        """Answer, or go on with the last assistant message; the last chunk carries `finish`.

        `is_watched` false: nobody looks while it grows, and more may come at a time.
        """

    def stop(self) -> None:
        """End the running request soon (finish `interrupted`); thread-safe, returns at once."""

    def sample(self) -> Sample:
        """Measure the machine now (some milliseconds)."""

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the conversation as the model's template renders it, ready for an answer."""

    def close(self) -> None:
        """End the engine and give back its memory; may be called twice."""


class Stream(Protocol):
    """The chunks of an answer under way."""

    def __iter__(self) -> Iterator[Chunk]:
        """Itself."""

    def __next__(self) -> Chunk:
        """The next one."""

    def stop(self) -> None:
        """End it soon, with its last chunk; thread-safe, returns at once."""

    def close(self) -> None:
        """End it at once: nobody listens any more."""


class Answering(Session, Protocol):
    """A loaded model, as front ends without a screen ask it."""

    @property
    def quant(self) -> str:
        """The quantization that runs."""

    def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        continue_last: bool = False,
        raw: str | None = None,
        is_watched: bool = True,
    ) -> Stream:
        """Answer, or go on with the last assistant message or with `raw` text."""

    def count_text(self, text: str) -> int:
        """Tokens of a text that goes to the model as it is, its own first token included."""


class Service(Protocol):
    """Everything behind the screens, with at most one engine."""

    @property
    def conversations(self) -> Path:
        """The folder where conversations are kept; made when the first one is."""

    @property
    def prompts(self) -> Path:
        """The folder of prompts that have a name."""

    def choices(self) -> Sequence[Choice]:
        """Rows for the picker, best first; what is here before what is not."""

    def plan(self, name: str, wish: Wish) -> Plan:
        """Plan a model by name. The same name again (another wish) must be quick."""

    def instead(self, plan: Plan) -> str:
        """Where nothing in the plan runs: what would, with the command to type; empty if nothing does."""

    def terms(self, plan: Plan, index: int) -> Terms:
        """What to say before `plan.candidates[index]` is downloaded."""

    def fetch(self, plan: Plan, index: int) -> Iterator[Progress]:
        """Download what is missing; closing the iterator pauses it, and a later call goes on from there."""

    def load(self, plan: Plan, index: int) -> Iterator[LoadProgress | Session]:
        """Load a candidate whose files are here; the last item is the session.

        One engine at a time: loading first ends the one before. Closing the iterator gives up.
        """

    def load_kept(self, plan: Plan, index: int, keep_s: float) -> Iterator[LoadProgress | Session]:
        """The same, in an engine that stays warm for `keep_s` seconds after its last use, whoever uses it."""

    def warm(self, name: str, wish: Wish, keep_s: float | None = None) -> Session | None:
        """The model where it is warm for this very wish, for `keep_s` seconds from its last use on (None: as ever)."""

    def remember(self, session: Session, name: str, messages: Sequence[Message]) -> None:
        """Let what the engine has read of the conversation of that name outlive it, where that is worth its bytes."""

    def recall(self, session: Session, name: str) -> None:
        """Go on from what was remembered: it is not read again, now nor by an engine that is started again."""

    def close(self) -> None:
        """End whatever is under way, at once and from any thread: no process is left behind."""
