"""What stands beside the table: why a candidate is as it is, and where everything would go."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Label, Static

from runner.report import sentences
from runner.report.words import one_line, visible
from runner.types.plan import Candidate, Plan, Source
from tui.view.meters import as_planned
from tui.widgets.memory import MemoryBars
from tui.widgets.placement import PlacementMap, layers_per_device

_CONFIRMED = {
    Source.REHEARSAL: "Memory rehearsed with llama.cpp on these devices.",
    Source.STAND_IN: "Memory rehearsed with llama.cpp on stand-in devices.",
    Source.FORMULA: "Memory from formulas: no llama.cpp answered.",
    Source.HISTORY: "Memory and speed corrected by an earlier load.",
}


class Details(VerticalScroll):
    """One candidate of a plan."""

    def compose(self) -> ComposeResult:
        """Reasons, memory, placement."""
        yield Static(id="reasons")
        yield Label("MEMORY", classes="section")
        yield MemoryBars()
        yield Label("PLACEMENT", classes="section")
        yield PlacementMap()

    def show(self, plan: Plan, index: int) -> None:
        """Show a candidate."""
        candidate = plan.candidates[index]
        self.query_one("#reasons", Static).update(_reasons(plan, index))
        counts = layers_per_device(candidate.placement) if candidate.placement else {}
        self.query_one(MemoryBars).show(as_planned(candidate, plan.machine), counts)
        self.query_one(PlacementMap).show(candidate.placement, experts=plan.model.experts > 0)


def _reasons(plan: Plan, index: int) -> Content:
    candidate = plan.candidates[index]
    said = [*sentences.summary(plan, candidate), *sentences.reasons(candidate), _CONFIRMED[candidate.confirmed_by]]
    title = (
        f"{one_line(candidate.quant)} · {candidate.bits_per_weight:.1f} bits · {_files(candidate)}",
        "bold $primary",
    )
    return Content("\n").join(
        [Content.assemble(title), *(Content.assemble(("› ", "$accent"), visible(line)) for line in said)]
    )


def _files(candidate: Candidate) -> str:
    return one_line(candidate.files[0]) if len(candidate.files) == 1 else f"{len(candidate.files)} files"
