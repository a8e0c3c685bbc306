"""A conversation as a person and a model had it. Pure data."""

from dataclasses import dataclass
from pathlib import Path

from runner.types.attachment import without_files
from runner.types.generation import Message

_TITLE_LENGTH = 48


@dataclass(frozen=True, slots=True)
class Turn:
    """One message as kept; `note` says how it ended (tokens, speed, reason), empty while it grows."""

    role: str
    text: str = ""
    reasoning: str = ""
    note: str = ""


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
        return system + tuple(
            Message(turn.role, turn.text, turn.reasoning or None) for turn in self.turns[self.skipped :]
        )


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
