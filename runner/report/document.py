"""A conversation as a document. Pure."""

from runner.report.turn import call_line
from runner.types.conversation import Conversation

_HEADS = {"user": "## You", "tool": "## Result of a call"}


def to_markdown(conversation: Conversation) -> str:
    """The conversation as a Markdown document; thinking becomes a folded section."""
    parts = [f"# {conversation.title}", f"*{conversation.model}*"]
    if conversation.system:
        quoted = (f"> {line}".rstrip() for line in conversation.system.strip().splitlines())
        parts.append("**System prompt**\n\n" + "\n".join(quoted))
    for turn in conversation.turns:
        parts.append(_HEADS.get(turn.role, "## Model"))
        if turn.reasoning:
            parts.append(f"<details><summary>Thinking</summary>\n\n{turn.reasoning.strip()}\n\n</details>")
        if said := turn.text.strip():
            parts.append(said)
        if turn.calls:
            parts.append("\n".join(("```json", *map(call_line, turn.calls), "```")))
        if turn.note:
            parts.append(f"*{turn.note}*")
    return "\n\n".join(parts) + "\n"
