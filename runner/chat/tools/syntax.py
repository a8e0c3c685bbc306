"""How a family writes calls, as pieces of text around names and arguments. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from runner.types.tools import ToolCall, read_arguments


class Form(Enum):
    """What arguments are: JSON, Gemma's notation of it, or members between marks."""

    JSON = auto()
    GEMMA = auto()
    MEMBERS = auto()


@dataclass(frozen=True, slots=True)
class Syntax:
    """Calls are `lead`, `mark`, `start`, calls with a `joint` between them, `end`; without a joint there is one alone.

    A call is `before`, its name, `between`, its arguments, `behind`. `member` is what stands in front of, behind the
    key and behind the value of an argument, where these have the form MEMBERS. `turn` may stand in front of all where
    thinking is a message of its own.
    """

    mark: str
    before: str
    between: str
    behind: str
    joint: str | None = None
    lead: str = ""
    start: str = ""
    end: str = ""
    form: Form = Form.JSON
    member: tuple[str, str, str] = ("", "", "")
    turn: str = ""

    def written(self, calls: Sequence[ToolCall]) -> str:
        """Calls as a model writes them, their arguments as JSON."""
        each = [f"{self.before}{call.name}{self.between}{call.arguments}{self.behind}" for call in calls]
        return f"{self.lead}{self.mark}{self.start}{(self.joint or ' ').join(each)}{self.end}"


def json_syntax(mark: str, key: str = "arguments") -> Syntax:
    """A list of JSON behind a mark."""
    return Syntax(mark, '{"name": "', f'", "{key}": ', "}", ", ", start="[", end="]")


def is_object(arguments: str) -> bool:
    """Whether this is the JSON text of an object."""
    return isinstance(read_arguments(arguments), dict)
