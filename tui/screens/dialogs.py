"""Small questions over a screen: choose one of a few, write a line, read a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from tui.screens.leaving import LeftOnce
from tui.widgets.in_order import Line

T = TypeVar("T")
_TALLEST = 0.94  # of the screen's height: as in dialogs.tcss
_AROUND = 8  # lines: border, padding, title, keys


class Dialog(LeftOnce[T | None], ModalScreen[T | None]):
    """A box over a screen: its title, what is `inside`, and its `KEYS`. Escape returns nothing."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "Back")]
    KEYS = "Enter takes it · Esc goes back"
    WIDTH = ""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def compose(self) -> ComposeResult:
        """The box."""
        with Vertical(id="dialog", classes=self.WIDTH):
            yield Label(Content(self._title), id="title")
            yield from self.inside()
            yield Label(self.KEYS, id="keys")

    def inside(self) -> ComposeResult:
        """What stands between title and keys."""
        raise NotImplementedError

    def action_back(self) -> None:
        """Return nothing."""
        self.dismiss(None)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A way out of a question: what is returned, its title and what it means."""

    value: str
    title: str
    help: str
    disabled: bool


class Ask(Dialog[str]):
    """One question with a few ways out; Escape is none of them."""

    def __init__(self, title: str, text: str, suggestions: Sequence[Suggestion]) -> None:
        super().__init__(title)
        self._text, self._suggestions = text, suggestions

    def inside(self) -> ComposeResult:
        """Text and suggestions."""
        yield Static(Content(self._text), id="text")
        yield OptionList(*(Option(_prompt(one), disabled=one.disabled) for one in self._suggestions))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Return what was suggested."""
        self.dismiss(self._suggestions[event.option_index].value)


def _prompt(suggestion: Suggestion) -> Content:
    return Content.assemble((suggestion.title, "bold"), ("\n  " + suggestion.help, "$quiet"))


class LineDialog(Dialog[str]):
    """One line of text; Enter takes it."""

    def __init__(self, title: str, value: str) -> None:
        super().__init__(title)
        self._value = value

    def inside(self) -> ComposeResult:
        """The input."""
        yield Line(self._value, compact=True, select_on_focus=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return the text."""
        self.dismiss(event.value)


class TextDialog(Dialog[None]):
    """A text to read: the help, the statistics."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,q", "back", "Back", show=False)]
    KEYS = "↑↓ scrolls · Esc goes back"
    WIDTH = "-wide"

    def __init__(self, title: str, text: Content) -> None:
        super().__init__(title)
        self._text = text

    def inside(self) -> ComposeResult:
        """The text, which scrolls."""
        with VerticalScroll(id="scroll"):
            yield Static(self._text, id="reading")

    def on_resize(self, event: events.Resize) -> None:
        """The text gets what the box, its title and its keys leave: no rule of the style sheet says so."""
        self.query_one("#scroll").styles.max_height = room_inside(event.size.height)


def room_inside(height: int, besides: int = 0) -> int:
    """Lines that scroll in a box on a screen of this height, where `besides` others stand in it; one at least."""
    return max(1, int(_TALLEST * height) - _AROUND - besides)
