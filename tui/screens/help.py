"""The help, written from the table of actions."""

from textual.content import Content

from tui.actions import ACTIONS, Action

_WRITING = (
    ("Enter", "send"),
    ("Shift+Enter, Ctrl+J", "new line"),
    ("↑ ↓", "earlier messages, at the first and last line"),
    ("Tab", "complete a /command or an @file"),
    ("Escape", "stop the answer; else leave the text: then"),
    ("", "single letters work, i or Enter returns"),
    ("Ctrl+P", "every action by name"),
)


def help_text() -> Content:
    """Keys, letters and commands."""
    lines = [Content.styled("While writing", "bold $accent")]
    lines += [Content.assemble((f"  {keys:<21}", "bold"), words) for keys, words in _WRITING]
    lines += [Content(""), Content.styled(f"  {'Key':<8}{'or':<4}{'Command':<17}", "bold $accent")]
    lines += [_line(action) for action in ACTIONS]
    return Content("\n").join(lines)


def _line(action: Action) -> Content:
    key = "+".join(part.capitalize() for part in (action.key or "").split("+"))
    letter = "?" if action.letter == "question_mark" else action.letter or ""
    slash = f"/{action.slash} {action.argument}" if action.slash else ""
    return Content.assemble((f"  {key:<8}{letter:<4}{slash:<17}", "bold"), action.help)
