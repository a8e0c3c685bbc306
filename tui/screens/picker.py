"""The picker: what is here, and what would run well here."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import DataTable, Footer, Input, Label, LoadingIndicator, Static

from models.errors import LocalrunError
from runner.report.placement import PLACES
from runner.report.words import gib, one_line, rate, visible
from runner.types.service import Choice, Service
from tui.screens.leaving import LeftOnce
from tui.widgets.in_order import Line
from tui.workers import aside


class Picker(LeftOnce[str | None]):
    """Returns the name of a model; None to leave."""

    CSS_PATH = "picker.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave"),
        Binding("slash,tab", "name", "Another name"),
    ]

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service
        self._choices: Sequence[Choice] = ()

    def compose(self) -> ComposeResult:
        """Title, table, a line for any other name."""
        yield Label("localrun", id="brand")
        with Vertical(id="body"):
            yield Static("Looking at this machine and the models on it…", id="status")
            yield LoadingIndicator()
            yield DataTable[Text](cursor_type="row")
            yield Line(placeholder="or a name: org/repo, a file, a folder, ollama:NAME", compact=True)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to look."""
        self._look()

    @work
    async def _look(self) -> None:
        status = self.query_one("#status", Static)
        try:
            self._choices = await aside(self._service.choices)
            status.update("What is here, and what would run well here. Enter runs it.")
        except LocalrunError as error:
            status.update(Text(visible(str(error))))
        self.query_one(LoadingIndicator).display = False
        self._fill()

    def _fill(self) -> None:
        table = self.query_one(DataTable)
        table.add_columns("model", "quant", "size", "where", "speed", "")
        for choice in self._choices:
            table.add_row(*_cells(choice))
        (table if self._choices else self.query_one(Input)).focus()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Run this one."""
        self.dismiss(self._choices[event.cursor_row].name)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Run what was typed."""
        if event.value.strip():
            self.dismiss(event.value.strip())

    def action_name(self) -> None:
        """Write a name, or go back to the table."""
        table, line = self.query_one(DataTable), self.query_one(Input)
        (table if line.has_focus and self._choices else line).focus()

    def action_leave(self) -> None:
        """Leave without a model."""
        self.dismiss(None)


def _cells(choice: Choice) -> list[Text]:
    cells = [
        choice.name,
        choice.quant or "",
        gib(choice.bytes) if choice.bytes is not None else "",
        PLACES[choice.verdict] if choice.verdict else "",
        rate(choice.decode_tps) if choice.decode_tps is not None else "",
        " · ".join(filter(None, ("is here" if choice.is_here else "", choice.note))),
    ]
    return [Text(one_line(cell), "bold" if choice.is_here and column == 0 else "") for column, cell in enumerate(cells)]
