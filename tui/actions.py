"""Everything the chat can do, once: the keys, the command palette, the slash commands and the help come from it."""

import difflib
from dataclasses import dataclass, replace
from typing import Any

from models.errors import UsageError
from runner.types.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Action:
    """`name` is the screen's method `action_NAME`. `key` works everywhere; `letter` while no text is being written.

    `slash` is the command without its slash; `argument` names what may follow it.
    """

    name: str
    title: str
    help: str
    key: str | None = None
    letter: str | None = None
    slash: str | None = None
    argument: str = ""


ACTIONS = (
    Action("help", "Help", "Keys and commands", "f1", "question_mark", "help"),
    Action("plan", "Plan", "Change context, KV type, quantization", "f2", "p", "plan"),
    Action("load", "Conversations", "Go on with an earlier conversation", "f3", "o", "load"),
    Action("panel", "Panel", "Show or hide memory and speed", "f4", "m"),
    Action("regenerate", "Regenerate", "Answer the last question again", "ctrl+r", "r", "regen"),
    Action("go_on", "Continue", "Go on with the last answer", "ctrl+g", "c", "continue"),
    Action("edit", "Edit", "Change the last question", "ctrl+b", "e", "edit"),
    Action("copy", "Copy", "Copy the last answer", "ctrl+y", "y", "copy"),
    Action("think", "Thinking", "Fold or unfold the thinking", "ctrl+t", "t", "think"),
    Action("clear", "New chat", "Begin anew; this one is kept", "ctrl+n", "n", "clear"),
    Action("system", "System prompt", "Set it; - removes it", slash="system", argument="TEXT"),
    Action("set", "Sampling", "Show or set the sampling", slash="set", argument="NAME VALUE"),
    Action("save", "Rename", "Name the conversation", slash="save", argument="NAME"),
    Action("export", "Export", "Write the conversation as Markdown", letter="x", slash="export", argument="FILE"),
    Action("stats", "Statistics", "Planned against measured", letter="s", slash="stats"),
    Action("model", "Model", "Run another model", slash="model", argument="NAME"),
    Action("exit", "Quit", "End the engine and leave", "ctrl+q", "q", "exit"),
)
BY_SLASH = {action.slash: action for action in ACTIONS if action.slash}


def command(line: str) -> tuple[Action, str] | None:
    """A slash command and its argument; None for a message. Two slashes begin a message with one."""
    if not line.startswith("/") or line.startswith("//") or "\n" in line:
        return None
    word, _, argument = line[1:].partition(" ")
    if action := BY_SLASH.get(word.lower()):
        return action, argument.strip()
    near = difflib.get_close_matches(word.lower(), BY_SLASH, 1)
    hint = f"did you mean /{near[0]}?" if near else "/help lists them all."
    raise UsageError(f"There is no command /{word}: {hint}")


def completions(line: str) -> list[Action]:
    """The slash commands a line may become."""
    if not line.startswith("/") or " " in line or "\n" in line:
        return []
    return [action for slash, action in BY_SLASH.items() if slash.startswith(line[1:].lower())]


_LIMITS: dict[str, tuple[str, type[int] | type[float], float, float]] = {
    "temp": ("temperature", float, 0, 10),
    "top-k": ("top_k", int, 0, 1_000_000),
    "top-p": ("top_p", float, 0, 1),
    "min-p": ("min_p", float, 0, 1),
    "repeat-penalty": ("repeat_penalty", float, 0, 10),
    "seed": ("seed", int, 0, 2**32 - 1),
    "max-tokens": ("max_tokens", int, 1, 2**31 - 1),
}


def with_setting(sampling: Sampling, setting: str) -> Sampling:
    """The sampling after `temp 0.5`; `seed off` and `max-tokens off` return to automatic. Raises UsageError."""
    name, _, value = setting.replace("=", " ", 1).strip().partition(" ")
    if name not in _LIMITS:
        raise UsageError(f"Nothing is named {name!r}; there are {', '.join(_LIMITS)}.")
    field, kind, low, high = _LIMITS[name]
    if value.strip() == "off" and getattr(Sampling(), field) is None:
        return _changed(sampling, field, None)
    try:
        number = kind(value)
    except ValueError:
        raise UsageError(f"{name} wants a number, not {value.strip()!r}.") from None
    if not low <= number <= high:
        raise UsageError(f"{name} goes from {low:g} to {high:g}.")
    return _changed(sampling, field, number)


def _changed(sampling: Sampling, field: str, value: float | None) -> Sampling:
    changes: dict[str, Any] = {field: value}
    return replace(sampling, **changes)


def settings(sampling: Sampling) -> str:
    """All settings on one line."""
    values = {name: getattr(sampling, field) for name, (field, *_) in _LIMITS.items()}
    return "  ".join(f"{name} {'off' if value is None else f'{value:g}'}" for name, value in values.items())
