"""Small questions over a screen: choose one of a few, write a line, read a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

_BACK = Binding("escape", "back", "Back")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A way out of a question: what is returned, its title and what it means."""

    value: str
    title: str
    help: str = ""
    disabled: bool = False


class Ask(ModalScreen[str | None]):
    """One question with a few ways out; Escape is none of them."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [_BACK]

    def __init__(self, title: str, text: str, suggestions: Sequence[Suggestion]) -> None:
        super().__init__()
        self._title, self._text, self._suggestions = title, text, suggestions

    def compose(self) -> ComposeResult:
        """Title, text, suggestions."""
        with Vertical(id="dialog"):
            yield Label(Content(self._title), id="title")
            yield Static(Content(self._text), id="text")
            yield OptionList(*(Option(_prompt(one), disabled=one.disabled) for one in self._suggestions))
            yield Label("Enter takes it · Esc goes back", id="keys")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Return what was suggested."""
        self.dismiss(self._suggestions[event.option_index].value)

    def action_back(self) -> None:
        """Return nothing."""
        self.dismiss(None)


def _prompt(suggestion: Suggestion) -> Content:
    help = ("\n  " + suggestion.help, "$quiet") if suggestion.help else ""
    return Content.assemble((suggestion.title, "bold"), help)


class Line(ModalScreen[str | None]):
    """One line of text; Enter takes it."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [_BACK]

    def __init__(self, title: str, value: str) -> None:
        super().__init__()
        self._title, self._value = title, value

    def compose(self) -> ComposeResult:
        """Title and input."""
        with Vertical(id="dialog"):
            yield Label(Content(self._title), id="title")
            yield Input(self._value, compact=True, select_on_focus=False)
            yield Label("Enter takes it · Esc goes back", id="keys")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return the text."""
        self.dismiss(event.value)

    def action_back(self) -> None:
        """Return nothing."""
        self.dismiss(None)


class Reading(ModalScreen[None]):
    """A text to read: the help, the statistics."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [_BACK, Binding("enter,q", "back", "Back", show=False)]

    def __init__(self, title: str, text: Content) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        """Title and text, which scrolls."""
        with Vertical(id="dialog", classes="-wide"):
            yield Label(Content(self._title), id="title")
            with VerticalScroll(id="scroll"):
                yield Static(self._text, id="reading")
            yield Label("↑↓ scrolls · Esc goes back", id="keys")

    def action_back(self) -> None:
        """Close it."""
        self.dismiss(None)
