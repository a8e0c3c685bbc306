"""Keys in the order they came.

Textual gives a character to the widget at once, and a key that is bound to an action (backspace, the arrows, Enter)
only after the screen has looked at it: typed fast, or on a busy machine, `a`, backspace, `b` would become `a`.
"""

from textual import events
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input


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


class Line(Input):
    """A line of text, written in order."""

    async def _on_key(self, event: events.Key) -> None:
        if not await acted(self, event, actions_by_key(Input.BINDINGS)):
            await super()._on_key(event)
