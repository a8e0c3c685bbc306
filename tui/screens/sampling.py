"""The sampling that is in force, and a line to change it."""

from collections.abc import Iterable

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input, Static

from models.errors import UsageError
from models.headers.recommended import Recommended
from runner.report.sampling import sampling_lines
from runner.types.sampling import in_force
from tui.actions import with_setting
from tui.screens.dialogs import Dialog
from tui.settings import ChatSettings
from tui.widgets.in_order import Line


class SamplingDialog(Dialog[None]):
    """Changes the `settings` it is opened with; it stays open, so that several can be set."""

    KEYS = "NAME VALUE sets it, NAME off leaves it to the model · Esc goes back"
    WIDTH = "-wide"

    def __init__(self, settings: ChatSettings, recommended: Iterable[Recommended]) -> None:
        super().__init__("Sampling")
        self._settings, self._recommended = settings, tuple(recommended)

    def inside(self) -> ComposeResult:
        """What is in force and whence, the line, and what was wrong with it."""
        yield Static(id="text")
        yield Line(placeholder="temp 0.5", compact=True)
        yield Static(id="wrong")

    def on_mount(self) -> None:
        """Show what is in force."""
        self._show("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Set it, or say why not; an empty line is the end."""
        if not event.value.strip():
            self.dismiss(None)
            return
        try:
            self._settings.sampling = with_setting(self._settings.sampling, event.value)
        except UsageError as error:
            self._show(str(error))
        else:
            event.input.clear()
            self._show("")

    def _show(self, wrong: str) -> None:
        found = in_force(self._settings.sampling, self._recommended)
        self.query_one("#text", Static).update(Content("\n".join(sampling_lines(found))))
        self.query_one("#wrong", Static).update(Content(wrong))
