"""Beside the conversation: memory, placement and speed, and one sentence when something costs speed."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Label, Static

from runner.report.sentences import what_costs
from runner.report.words import context, gib_cell, rate_cell, visible
from runner.types.engine import Loaded
from runner.types.placement import Placement
from runner.types.plan import Candidate, ModelInfo
from tui.view.meters import Meter
from tui.view.speed_history import Speed
from tui.widgets.drawing import Drawing, styled
from tui.widgets.memory import MemoryBars, bar
from tui.widgets.placement import PlacementMap
from tui.widgets.speed import SpeedPanel, why_slow


class Panel(VerticalScroll):
    """The whole panel."""

    def compose(self) -> ComposeResult:
        """Section by section."""
        yield Label("MEMORY", classes="section")
        yield MemoryBars()
        yield Label("PLACEMENT", classes="section", id="placement-title")
        yield PlacementMap()
        yield Label("SPEED", classes="section")
        yield SpeedPanel()
        yield Static(id="cost")

    def show_model(self, candidate: Candidate, placement: Placement, model: ModelInfo, loaded: Loaded) -> None:
        """What does not change while a model is loaded."""
        self.query_one(PlacementMap).show(placement, experts=model.experts > 0)
        away = f"{placement.gpu_layers} of {placement.layers_total} layers on GPUs"
        self.query_one("#placement-title", Label).update(
            Content.assemble("PLACEMENT  ", (away if placement.devices else "all layers on the CPU", "$foreground"))
        )
        sentences = " ".join(part for part in (*loaded.notes, what_costs(candidate)) if part)
        line = self.query_one("#cost", Static)
        line.display = bool(sentences)
        line.update(Content.assemble(("! ", "bold $warning"), visible(sentences), (" F2 opens the plan.", "$quiet")))


class Strip(Drawing):
    """The same on one line, for a narrow terminal; below it, why it is slow where it stays so."""

    meters: tuple[Meter, ...] = ()
    speed = Speed()

    def show(self, meters: tuple[Meter, ...], speed: Speed) -> None:
        """Draw this."""
        if (meters, speed) != (self.meters, self.speed):
            self.meters, self.speed = meters, speed
            self.changed()

    def lines(self, width: int) -> list[Content]:
        """Speed and context first: what does not fit is cut at the end."""
        speed = self.speed
        predicted = f" of {rate_cell(speed.predicted_decode)}" if speed.predicted_decode is not None else ""
        head = styled(
            (rate_cell(speed.decode_tps), "bold"),
            f"{predicted} tok/s",
            ("  ", "$quiet"),
            f"{speed.context_used:,}/{context(speed.context)}",
        )
        numbers = [f" {gib_cell(meter.used)}/{gib_cell(meter.total)}" for meter in self.meters]
        taken = sum(len(number) + len(meter.device) + 3 for number, meter in zip(numbers, self.meters, strict=True))
        room = (width - head.cell_length - taken) // max(1, len(self.meters))
        for number, meter in zip(numbers, self.meters, strict=True):
            head = head + styled((f"  {meter.device} ", "$quiet")) + bar(meter, max(3, min(16, room))) + number
        return [head, *(why_slow(speed.slowness, width) if speed.slowness else ())]
