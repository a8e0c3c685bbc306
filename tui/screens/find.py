"""Search in a conversation: the turns that have the words, the best first."""

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from runner.report.words import one_line
from runner.storage.full_text import find_words
from runner.types.conversation import Conversation, Listed, Turn
from tui.screens.dialogs import Dialog
from tui.widgets.in_order import Line

_WHO = {"user": "you    ", "tool": "result "}
_NO_TITLE = "\u2003"  # a title that has no words: the beginning of a question counts once


class Find(Dialog[int]):
    """Returns the place of a turn."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move(1)", show=False, priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
    ]
    KEYS = "↑↓ chooses · Enter goes there · Esc goes back"
    WIDTH = "-wide"

    def __init__(self, conversation: Conversation, words: str = "") -> None:
        super().__init__("Search in this conversation")
        self._conversation, self._words = conversation, words
        self._found: list[int] = []

    def inside(self) -> ComposeResult:
        """The words, below them what has them."""
        yield Line(self._words, compact=True, select_on_focus=False)
        yield OptionList()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search anew."""
        found = found_turns(self._conversation, event.value)
        self._found = [place for place, _ in found]
        options = self.query_one(OptionList)
        options.clear_options()
        turns = self._conversation.turns
        options.add_options([Option(_row(turns[place], excerpt)) for place, excerpt in found])
        options.highlighted = 0 if found else None

    def action_move(self, step: int) -> None:
        """The next, or the one before, while the words are written."""
        options = self.query_one(OptionList)
        if self._found:
            options.highlighted = ((options.highlighted or 0) + step) % len(self._found)

    def on_input_submitted(self) -> None:
        """Go to what is highlighted."""
        place = self.query_one(OptionList).highlighted
        if place is not None and self._found:
            self.dismiss(self._found[place])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Go there."""
        self.dismiss(self._found[event.option_index])


def found_turns(conversation: Conversation, words: str) -> list[tuple[int, str]]:
    """The places of turns that have every word, the best first, each with the line around the first of them."""
    wanted = words.split()
    alone = [Conversation(name=_NO_TITLE, turns=(turn,)) for turn in conversation.turns]
    listed = [Listed(one, Path(str(place)), 0.0) for place, one in enumerate(alone)]
    return [(int(one.path.name), one.excerpt) for one in find_words(listed, wanted)] if wanted else []


def _row(turn: Turn, excerpt: str) -> Content:
    who = _WHO.get(turn.role, "answer ")
    return Content.assemble((who, "$quiet"), one_line(excerpt))
