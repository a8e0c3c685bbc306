"""Everything the chat can do, once: the keys, the command palette, the slash commands and the help come from it."""

import difflib
from dataclasses import dataclass, replace

from models.errors import UsageError
from runner.storage.tool_files import tools_in
from runner.types import sampling as sampling_settings
from runner.types.numbers import parse_number
from runner.types.sampling import Sampling
from runner.types.tools_json import with_possible_calls
from tui.view.mentions import mentions


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
    Action("load", "Conversations", "Go on with another, search in all", "f3", "o", "load"),
    Action("panel", "Panel", "Show or hide memory and speed", "f4", "m", "panel"),
    Action("regenerate", "Regenerate", "Answer the last question again", "ctrl+r", "r", "regen"),
    Action("go_on", "Continue", "Go on with the last answer", "ctrl+g", "c", "continue"),
    Action("edit", "Edit", "Change the last question, or another", "ctrl+b", "e", "edit", "NUMBER"),
    Action(
        "correct", "Edit answer", "Change the last answer, or another", letter="E", slash="answer", argument="NUMBER"
    ),
    Action("undo", "Undo", "Take the last question back", letter="u", slash="undo"),
    Action("branch", "Branches", "Go on with another, or name this one", "f5", "b", "branch", "NAME"),
    Action("compact", "Compact", "A summary for what was said first", "f6", slash="compact"),
    Action("copy", "Copy", "Copy a code block or the last answer", "ctrl+y", "y", "copy", "NUMBER"),
    Action("think", "Thinking", "On or off, or how hard: low, high", "ctrl+t", "t", "think", "WHAT"),
    Action("tools", "Tools", "What the model may call; off: nothing", letter="T", slash="tools", argument="FILE"),
    Action("fold", "Fold", "Fold or unfold the thinking", letter="z", slash="fold"),
    Action("clear", "New chat", "Begin anew; this one is kept", "ctrl+n", "n", "clear"),
    Action("find", "Search", "Search in this conversation", "ctrl+f", "f", "find", "WORDS"),
    Action("system", "System prompt", "Set it; - removes it, :NAME takes one", "f7", slash="system", argument="TEXT"),
    Action("set", "Sampling", "Show or set the sampling", "f8", slash="set", argument="NAME VALUE"),
    Action("save", "Rename", "Name the conversation", letter="N", slash="save", argument="NAME"),
    Action("export", "Export", "Write the conversation as Markdown", letter="x", slash="export", argument="FILE"),
    Action("stats", "Statistics", "Planned against measured", letter="s", slash="stats"),
    Action("stop", "Stop", "End the answer; Escape does, too", slash="stop"),
    Action("model", "Model", "Go on with another model", "f9", slash="model", argument="NAME"),
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


def number_in(typed: str, low: int, high: int) -> int | None:
    """A whole number from `low` to `high`; None for anything else."""
    try:
        return int(parse_number(typed, int, low, high))
    except UsageError:
        return None


def with_setting(sampling: Sampling, typed: str) -> Sampling:
    """The sampling after `temp 0.5`, `temp=0.5` or `seed off`. Raises UsageError."""
    name, _, value = typed.replace("=", " ", 1).strip().partition(" ")
    return sampling_settings.with_setting(sampling, name, value.strip())


def with_tools_of(sampling: Sampling, typed: str) -> Sampling:
    """The sampling with the tools of a file, named like `tools.json` or `@tools.json`; none with `off`. UsageError."""
    named = mentions(typed) or [typed.strip()]
    tools = () if typed.strip() == "off" else tools_in(named[0])
    return with_possible_calls(replace(sampling, templating=replace(sampling.templating, tools=tools)))
