"""A conversation as a document. Pure."""

from runner.types.conversation import Conversation


def to_markdown(conversation: Conversation) -> str:
    """The conversation as a Markdown document; thinking becomes a folded section."""
    parts = [f"# {conversation.title}", f"*{conversation.model}*"]
    if conversation.system:
        quoted = (f"> {line}".rstrip() for line in conversation.system.strip().splitlines())
        parts.append("**System prompt**\n\n" + "\n".join(quoted))
    for turn in conversation.turns:
        parts.append("## You" if turn.role == "user" else "## Model")
        if turn.reasoning:
            parts.append(f"<details><summary>Thinking</summary>\n\n{turn.reasoning.strip()}\n\n</details>")
        parts.append(turn.text.strip())
        if turn.note:
            parts.append(f"*{turn.note}*")
    return "\n\n".join(parts) + "\n"
