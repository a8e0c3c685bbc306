"""A conversation written where a person asks, from any screen."""

from typing import Any

from textual.screen import Screen

from models.errors import UsageError
from runner.report.document import to_markdown
from runner.report.words import visible
from runner.storage.export import write_new
from runner.types.conversation import Conversation


def export(screen: Screen[Any], conversation: Conversation, target: str = "") -> None:
    """Write it as Markdown, and say where, or why not."""
    try:
        path = write_new(conversation.title, to_markdown(conversation), target)
        screen.notify(f"Written to {path}", markup=False)
    except UsageError as error:
        screen.notify(visible(str(error)), severity="warning", markup=False)
