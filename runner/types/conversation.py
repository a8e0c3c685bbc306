"""A conversation as a person and a model had it. Pure data."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.types.attachment import without_files
from runner.types.generation import Message
from runner.types.tools import ToolCall

_TITLE_LENGTH = 48
DECLINED = "The user declined this call: there is no result."


@dataclass(frozen=True, slots=True)
class Turn:
    """One message as kept; `note` says how it ended (tokens, speed, reason), empty while it grows.

    `calls` are the assistant's; a turn of a tool is the result of the call whose id is `answers`.
    """

    role: str
    text: str = ""
    reasoning: str = ""
    note: str = ""
    calls: tuple[ToolCall, ...] = ()
    answers: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """A way that a conversation took until it was changed, whole; `name` is empty until somebody gives one."""

    name: str
    turns: tuple[Turn, ...]
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation as far as it went. The first `skipped` turns are no longer sent to the model.

    `turns` are the branch that is gone on with, which is called `branch`; `branches` are the others, oldest first.
    """

    model: str = ""
    system: str = ""
    name: str = ""
    turns: tuple[Turn, ...] = ()
    skipped: int = 0
    branch: str = ""
    branches: tuple[Branch, ...] = ()

    @property
    def present(self) -> Branch:
        """The branch that is gone on with."""
        return Branch(self.branch, self.turns, self.skipped)

    @property
    def title(self) -> str:
        """Its name, or the beginning of the first question, without the files before it."""
        asked = next((turn.text for turn in self.turns if turn.role == "user"), "")
        words = self.name or without_files(asked)[0] or asked or "New chat"
        line = " ".join(words.split())
        return line if len(line) <= _TITLE_LENGTH else line[: _TITLE_LENGTH - 1].rstrip() + "…"

    @property
    def messages(self) -> tuple[Message, ...]:
        """What the model is sent: the system prompt and every turn that is not skipped."""
        system = (Message("system", self.system),) if self.system else ()
        return (*system, *_sent(self.turns[self.skipped :]))

    def called(self, result: Turn) -> str:
        """The function whose result a turn is; empty where no call says so."""
        calls = (call for turn in self.turns for call in turn.calls)
        return next((call.name for call in calls if call.id == result.answers), "")

    @property
    def waiting(self) -> tuple[ToolCall, ...]:
        """The calls at its end that have no result yet."""
        waiting: tuple[ToolCall, ...] = ()
        for turn in self.turns:
            waiting = _after(waiting, turn)
        return waiting


def _after(waiting: tuple[ToolCall, ...], turn: Turn) -> tuple[ToolCall, ...]:
    """The calls without a result behind one more turn."""
    return tuple(call for call in waiting if call.id != turn.answers) if turn.role == "tool" else turn.calls


def _sent(turns: Sequence[Turn]) -> Iterator[Message]:
    """A message a turn; where the conversation went on without the result of a call, it was declined."""
    waiting: tuple[ToolCall, ...] = ()
    for turn in turns:
        if turn.role != "tool":
            yield from (Message("tool", DECLINED, answers=call.id) for call in waiting)
        waiting = _after(waiting, turn)
        yield Message(turn.role, turn.text, turn.reasoning or None, turn.calls, turn.answers or None)


@dataclass(frozen=True, slots=True)
class Listed:
    """A conversation among others: its file, and when it was last `used`, in seconds since 1970.

    `excerpt` is a line of it that was looked for, from turn `turn`; None: from the title or the system prompt.
    """

    conversation: Conversation
    path: Path
    used: float
    excerpt: str = ""
    turn: int | None = None
