"""The conversation as it scrolls: a question or an answer per turn, stuck to its end until somebody scrolls up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from runner.types.conversation import Conversation, Turn
from tui.markdown.blocks import code_blocks
from tui.widgets.turn import AnswerView, QuestionView, TurnView, result_view

_SHOWN = 60


class ConversationView(VerticalScroll):
    """One widget per turn."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", show=False),
        Binding("k", "scroll_up", show=False),
        Binding("g", "scroll_home", show=False),
        Binding("G", "scroll_end", show=False),
        Binding("tab", "walk(1)", show=False),
        Binding("shift+tab", "walk(-1)", show=False),
    ]

    @dataclass
    class Walked(Message):
        """A person goes to the next code block or link, or to the one before."""

        step: int

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.folded = True
        self.turns: list[TurnView] = []

    def action_walk(self, step: int) -> None:
        """On to the next code block or link."""
        self.post_message(self.Walked(step))

    def welcome(self, words: Content) -> None:
        """What stands there before anybody said something."""
        shown = self.query(".welcome")
        if shown:
            shown.first(Static).update(words)
        else:
            self.mount(Static(words, classes="welcome"))
        self.anchor()

    async def show(self, conversation: Conversation) -> None:
        """Draw a conversation from its beginning, or at least its end where it is long."""
        await self.remove_children()
        self.turns = []
        hidden = max(0, len(conversation.turns) - _SHOWN)
        if hidden:
            await self.mount(_line(f"{hidden} earlier turns are kept in the file; /export writes them all"))
        first = 1
        for index, turn in enumerate(conversation.turns):
            widget = self._widget(conversation, turn, first)
            if turn.role == "assistant":
                first += len(code_blocks(turn.text))
            self.turns.append(widget)
            if index < hidden:
                continue
            if index == conversation.skipped > 0:
                await self.say_skipped(conversation.skipped)
            await self.mount(widget)
        self.anchor()

    def _widget(self, conversation: Conversation, turn: Turn, first: int) -> TurnView:
        """What draws a turn; its code blocks are numbered from `first`."""
        if turn.role == "user":
            return QuestionView(turn.text)
        if turn.role == "tool":
            return result_view(conversation.called(turn), turn.text)
        return AnswerView(first, turn, folded=self.folded)

    async def ask(self, text: str) -> None:
        """A question at the end."""
        await self._add(QuestionView(text))

    async def answer(self, first: int) -> AnswerView:
        """An empty answer at the end, to be grown; its code blocks are numbered from `first`."""
        widget = AnswerView(first, folded=self.folded)
        await self._add(widget)
        return widget

    async def result(self, name: str, text: str) -> None:
        """What a call of a function has brought, at the end."""
        await self._add(result_view(name, text))

    async def _add(self, widget: TurnView) -> None:
        self.turns.append(widget)
        await self.query(".welcome").remove()
        await self.mount(widget)
        self.anchor()

    async def keep(self, count: int) -> None:
        """Remove all turns but the first `count`."""
        gone: Sequence[TurnView] = self.turns[count:]
        self.turns = self.turns[:count]
        await self.remove_children([widget for widget in gone if widget.is_attached])

    async def say_skipped(self, count: int) -> None:
        """Say which turns the model no longer sees."""
        await self.query(".skipped").remove()
        line = _line(f"the model no longer sees the {count} turns above", "skipped")
        follower = self.turns[count] if count < len(self.turns) and self.turns[count].is_attached else None
        await self.mount(line, before=follower)

    def fold(self) -> None:
        """Fold all thinking, or unfold it."""
        self.folded = not self.folded
        for turn in self.turns:
            if isinstance(turn, AnswerView) and turn.is_attached:
                turn.fold(self.folded)


def _line(text: str, *classes: str) -> Static:
    return Static(Content(f"── {text} ──"), classes=" ".join(("line", *classes)))
