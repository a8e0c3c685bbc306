"""The help, written from the table of actions."""

from textual.content import Content

from tui.actions import ACTIONS, Action

_WRITING = (
    ("Enter", "send"),
    ("Shift+Enter, Ctrl+J", "new line"),
    ("↑ ↓", "earlier messages, at the first and last line"),
    ("Tab", "complete a /command"),
    ("Escape", "stop the answer; else leave the text, so that single letters work; i or Enter returns"),
    ("Ctrl+P", "every action by name"),
)


def help_text() -> Content:
    """Keys, letters and commands."""
    lines = [Content.styled("While writing", "bold $accent")]
    lines += [Content.assemble((f"  {keys:<22}", "bold"), words) for keys, words in _WRITING]
    lines += [Content(""), Content.styled(f"  {'Key':<10}{'Letter':<8}{'Command':<20}", "bold $accent")]
    lines += [_line(action) for action in ACTIONS]
    return Content("\n").join(lines)


def _line(action: Action) -> Content:
    key = (action.key or "").replace("ctrl+", "Ctrl+").replace("f", "F", 1 if (action.key or "").startswith("f") else 0)
    letter = "?" if action.letter == "question_mark" else action.letter or ""
    slash = f"/{action.slash} {action.argument}" if action.slash else ""
    return Content.assemble((f"  {key:<10}{letter:<8}{slash:<20}", "bold"), action.help)
