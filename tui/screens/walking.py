"""From one code block or link of the conversation to the next, and into the clipboard with them."""

from textual import on, work
from textual.widgets import Static

from runner.report.words import one_line
from tui.clipboard import copy_by_program
from tui.markdown.blocks import CodeBlock, Link, targets
from tui.screens.compacting import BranchingScreen
from tui.screens.copying import block_words
from tui.widgets.conversation import ConversationView
from tui.widgets.drawing import styled
from tui.widgets.turn import AnswerView
from tui.workers import aside


class WalkingScreen(BranchingScreen):
    """Holds which code block or link Tab went to."""

    _target: int | None = None

    def _targets(self) -> list[tuple[int, CodeBlock | Link]]:
        """All code blocks and links, each with the place of its turn."""
        turns = enumerate(self._log.conversation.turns)
        return [(place, one) for place, turn in turns if turn.role == "assistant" for one in targets(turn.text)]

    @on(ConversationView.Walked)
    def _walked(self, event: ConversationView.Walked) -> None:
        """Go there, and say what it is."""
        found = self._targets()
        if not found:
            self.focus_next()
            return
        start = -1 if event.step > 0 else 0
        self._target = ((start if self._target is None else self._target) + event.step) % len(found)
        turn, target = found[self._target]
        number = len([one for _, one in found[: self._target + 1] if isinstance(one, CodeBlock)])
        words = target.url if isinstance(target, Link) else f"[{number}] {block_words(target)}"
        place = f"{self._target + 1} of {len(found)}  "
        hint = styled((place, "$quiet"), (one_line(words, 90), "$accent"), ("   y copies it", "$quiet"))
        self.query_one("#hint", Static).update(hint)
        view = self.query_one(ConversationView)
        widget = view.turns[turn]
        if isinstance(widget, AnswerView) and widget.is_attached:
            view.scroll_to_widget(widget.place_of(target, number), animate=False)

    def _show_turn(self, place: int) -> None:
        """Scroll to a turn; the composer lets go, so that the arrows scroll."""
        view = self.query_one(ConversationView)
        widget = view.turns[place]
        view.focus()
        if widget.is_attached:
            view.scroll_to_widget(widget, animate=False, top=True)
        else:
            self.complain("This turn is further up than what is shown; /export writes them all.")

    def _copy_target(self) -> None:
        found = self._targets()
        if self._target is not None and self._target < len(found):
            _, target = found[self._target]
            if isinstance(target, Link):
                self._copy(target.url, "The link")
            else:
                self._copy(target.code, "The code block")

    @work
    async def _copy(self, text: str, what: str) -> None:
        """Through the terminal and by the platform's program: either may be the one that is heard."""
        self.app.copy_to_clipboard(text)
        await aside(lambda: copy_by_program(text))
        self.notify(f"{what} is in the clipboard.")
