"""What the model may call, and what its calls bring: both come from the person at the screen."""

from textual import events, on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from models.errors import UsageError
from runner.report.tools import arguments_text, call_title, tool_lines
from runner.report.words import visible
from runner.types.tools import ToolCall
from tui.actions import with_tools_of
from tui.files import files_of
from tui.screens.dialogs import Dialog, room_inside
from tui.settings import ChatSettings
from tui.view.mentions import mentions
from tui.widgets.composer import Composer
from tui.widgets.in_order import Line


class ToolsDialog(Dialog[None]):
    """Changes the `settings` it is opened with; it stays open, to show what was read."""

    KEYS = "FILE (JSON, as OpenAI writes tools) · off takes them away · Esc goes back"
    WIDTH = "-wide"

    def __init__(self, settings: ChatSettings) -> None:
        super().__init__("Tools")
        self._settings = settings

    def inside(self) -> ComposeResult:
        """The tools, the line, and what was wrong with it."""
        with VerticalScroll(id="scroll"):
            yield Static(id="reading")
        yield Line(placeholder="tools.json", compact=True)
        yield Static(id="wrong")

    def on_mount(self) -> None:
        """Show what the model is told of, and let it be written at once."""
        self._show("")
        self.query_one(Line).focus()

    def on_resize(self, event: events.Resize) -> None:
        """The tools get what the box leaves."""
        self.query_one("#scroll").styles.max_height = room_inside(event.size.height, 3)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Read the file, or say why not; an empty line is the end."""
        if not event.value.strip():
            self.dismiss(None)
            return
        try:
            self._settings.sampling = with_tools_of(self._settings.sampling, event.value)
        except UsageError as error:
            self._show(str(error))
        else:
            event.input.clear()
            self._show("")

    def _show(self, wrong: str) -> None:
        lines = tool_lines(self._settings.sampling.templating.tools)
        self.query_one("#reading", Static).update(Content("\n".join(lines)))
        self.query_one("#wrong", Static).update(Content(visible(wrong)))


class CallDialog(Dialog[str]):
    """One call: returns its result as it is typed, or the text of the one file that is named; None declines it."""

    KEYS = "Enter gives the result, @FILE a file's text · Esc declines the call"
    WIDTH = "-wide"

    def __init__(self, call: ToolCall, number: int, count: int) -> None:
        super().__init__(call_title(call, number, count))
        self._call = call

    def inside(self) -> ComposeResult:
        """The arguments, and where the result is written."""
        with VerticalScroll(id="scroll"):
            yield Static(Content(visible(arguments_text(self._call))), id="reading")
        yield Composer(placeholder="What does it return?")
        yield Static(id="wrong")

    def on_mount(self) -> None:
        """The result can be written at once."""
        self.query_one(Composer).focus()

    def on_resize(self, event: events.Resize) -> None:
        """The arguments get what the box leaves."""
        self.query_one("#scroll").styles.max_height = room_inside(event.size.height, 6)

    @on(Composer.Sent)
    def _sent(self, event: Composer.Sent) -> None:
        event.stop()
        named = mentions(event.text)
        try:
            files = files_of(named) if len(event.text.split()) == len(named) == 1 else []
        except UsageError as error:
            self.query_one(Composer).put(event.text)
            self.query_one("#wrong", Static).update(Content(visible(str(error))))
        else:
            self.dismiss(files[0].text if files else event.whole)

    @on(Composer.Left)
    def _left(self, event: Composer.Left) -> None:
        event.stop()
        self.dismiss(None)
