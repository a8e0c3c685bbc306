"""Keys in the order they came, in texts that steer no terminal.

Textual gives a character to the widget at once, and a key that is bound to an action (backspace, the arrows, Enter)
only after the screen has looked at it: typed fast, or on a busy machine, `a`, backspace, `b` would become `a`.
"""

from rich.highlighter import Highlighter
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from models.visible import visible_in_place


def actions_by_key(bindings: list[BindingType]) -> dict[str, str]:
    """What each key does, by the bindings of a widget."""
    made = [binding for binding in bindings if isinstance(binding, Binding)]
    return {key: binding.action for binding in made for key in binding.key.split(",")}


async def acted(widget: Widget, event: events.Key, actions: dict[str, str]) -> bool:
    """Whether the key was one of these, whose action is done by now."""
    if (action := actions.get(event.key)) is None:
        return False
    event.prevent_default()
    event.stop()
    await widget.run_action(action)
    return True


class _Visible(Highlighter):
    """Shows what would steer the terminal."""

    def highlight(self, text: Text) -> None:
        """Put a picture in its place."""
        text.plain = visible_in_place(text.plain)


class Line(Input):
    """A line of text, written in order."""

    def on_mount(self) -> None:
        """What stands in it may be foreign: the name of a conversation, a system prompt of an earlier one."""
        self.highlighter = _Visible()

    async def _on_key(self, event: events.Key) -> None:
        if not await acted(self, event, actions_by_key(Input.BINDINGS)):
            await super()._on_key(event)
