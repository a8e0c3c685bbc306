"""What the way to a model and the plan of a running one share: the candidates, one of them in detail, a sentence."""

from typing import TypeVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Footer, Static

from runner.report.words import visible
from tui.screens.leaving import LeftOnce
from tui.widgets.candidates import CandidateTable
from tui.widgets.details import Details

T = TypeVar("T")


class CandidatesScreen(LeftOnce[T | None]):
    """Returns None where somebody goes back."""

    CSS_PATH = "start.tcss"

    def compose(self) -> ComposeResult:
        """Head, table beside the details, one sentence and what is below it."""
        yield Static(id="head")
        with Horizontal(id="body"):
            yield CandidateTable()
            yield Details()
        with Vertical(id="work"):
            yield Static(id="status")
            yield from self.below()
        yield Footer()

    def below(self) -> ComposeResult:
        """What stands below the sentence."""
        yield from ()

    def say(self, sentence: str, *, error: bool = False) -> None:
        """The sentence."""
        status = self.query_one("#status", Static)
        status.set_class(error, "-error")
        status.update(Content(visible(sentence)))

    def action_back(self) -> None:
        """Leave all as it is."""
        self.dismiss(None)
