"""Which of a conversation's code blocks to copy, or the last answer."""

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from runner.report.words import one_line
from tui.markdown.blocks import CodeBlock
from tui.screens.dialogs import Dialog

ANSWER = 0


class CopyDialog(Dialog[int]):
    """Returns the number of a code block, or `ANSWER`. A number is taken as soon as no other begins with it."""

    KEYS = "A number or Enter copies · Esc goes back"

    def __init__(self, blocks: Sequence[CodeBlock]) -> None:
        super().__init__("Copy")
        self._blocks, self._typed = blocks, ""

    def inside(self) -> ComposeResult:
        """The last answer, then the code blocks."""
        rows = [f"[{number}] {block_words(block)}" for number, block in enumerate(self._blocks, 1)]
        yield OptionList(Option("The last answer"), *(Option(Content(row)) for row in rows))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take this one."""
        self.dismiss(event.option_index)

    def on_key(self, event: events.Key) -> None:
        """Digits are a number."""
        if not (event.character or "").isdecimal():
            return
        event.stop()
        typed = self._typed + (event.character or "")
        number, last = int(typed), len(self._blocks)
        if not 1 <= number <= last:
            self._typed = ""
        elif 10 * number > last:
            self.dismiss(number)
        else:
            self._typed = typed
            self.query_one(OptionList).highlighted = number


def block_words(block: CodeBlock) -> str:
    """Its language and its first line."""
    first = next((line for line in block.code.splitlines() if line.strip()), "")
    return one_line(" · ".join(filter(None, (block.language, first.strip()))), 70)
