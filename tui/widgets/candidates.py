"""The planner's table: every candidate with what it needs and how fast it would be."""

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from runner.report.placement import place_word
from runner.report.words import context, file_size, gib_cell, one_line, rate_cell
from runner.types.plan import Candidate, Plan, Verdict

_COLUMNS = ("", "quant", "where", "decode", "prefill", "context", "KV", "GiB", "download")


class CandidateTable(DataTable[Text]):
    """One row a candidate, best quality first; ● marks the planner's pick, ▶ what runs now.

    Speeds are tokens per second.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select_cursor", "Take it")]

    def __init__(self) -> None:
        super().__init__(cursor_type="row", zebra_stripes=False)
        self.cursor_foreground_priority = "css"

    def show(self, plan: Plan, running: str | None = None, cursor: int | None = None) -> None:
        """Fill it from a plan; `running` is the quantization that is loaded."""
        if not self.columns:
            self.add_columns(*_COLUMNS)
        self.clear()
        for index, candidate in enumerate(plan.candidates):
            self.add_row(*_cells(candidate, picked=index == plan.chosen, running=candidate.quant == running))
        self.move_cursor(row=cursor if cursor is not None else plan.chosen or 0)


def _cells(candidate: Candidate, *, picked: bool, running: bool) -> list[Text]:
    """The row; what does not fit is dim as a whole."""
    placement, predicted = candidate.placement, candidate.predicted
    memory = sum(row.total for row in candidate.memory)
    mark = ("▶" if running else " ") + ("●" if picked else " ")
    cells = [
        mark,
        one_line(candidate.quant),
        place_word(candidate),
        rate_cell(predicted.decode_tps) if predicted else "–",
        rate_cell(predicted.prefill_tps) if predicted else "–",
        context(placement.ctx) if placement else "–",
        placement.kv_type if placement else "–",
        gib_cell(memory) if candidate.memory else "–",
        "is here" if candidate.download_bytes == 0 else file_size(candidate.download_bytes),
    ]
    style = "dim" if candidate.verdict is Verdict.NO else "bold" if picked else ""
    return [
        Text(cell, style, justify="right" if column in (3, 4, 5, 7) else "left") for column, cell in enumerate(cells)
    ]
