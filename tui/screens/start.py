"""The way to a loaded model: plan, choose, download, load; gone in a second when all is here."""

import asyncio
from collections import Counter
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from models.errors import LocalrunError
from runner.report import sentences
from runner.types.engine import LoadProgress
from runner.types.machine import Machine
from runner.types.plan import Candidate, Plan, Terms, Verdict, Wish
from runner.types.service import Service, Session
from tui.view import text
from tui.view.compare import memory_table
from tui.widgets.candidates import CandidateTable
from tui.widgets.details import Details
from tui.widgets.drawing import styled
from tui.widgets.steps import Step, Steps, download_step
from tui.workers import aside, batches


class Start(Screen[Session | None]):
    """Returns a session; None to go back. With `plan` and `index` it goes straight to the load."""

    CSS_PATH = "start.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "go", "Run this"),
        Binding("c", "choose", "Choose another"),
        Binding("escape", "back", "Back"),
    ]

    def __init__(
        self,
        backend: Service,
        name: str,
        wish: Wish,
        *,
        plan: Plan | None = None,
        index: int | None = None,
        ask: bool = True,
        linger: float = 0.8,
    ) -> None:
        super().__init__()
        self._backend, self._model, self._wish = backend, name, wish
        self._plan, self._index = plan, index
        self._ask, self._linger = ask, linger
        self._session: Session | None = None
        self._instead = ""

    def compose(self) -> ComposeResult:
        """Head, table beside the details, bars, one sentence."""
        yield Static(id="head")
        with Horizontal(id="body"):
            yield CandidateTable()
            yield Details()
        with Vertical(id="work"):
            yield Static(id="status")
            yield Steps()
        yield Footer()

    def on_mount(self) -> None:
        """Begin."""
        self._show_head()
        self.query_one("#body").display = False
        self._begin()

    @work(exclusive=True)
    async def _begin(self) -> None:
        """Plan; go on by itself when nothing has to be asked."""
        plan = self._plan
        if plan is None:
            self._say(f"Looking at this machine and at the headers of {self._model}…")
            try:
                plan = await aside(lambda: self._backend.plan(self._model, self._wish))
            except LocalrunError as error:
                self._say(str(error), error=True)
                return
        self._plan = plan
        index = self._index if self._index is not None else plan.chosen
        self._show_plan(plan, index)
        if index is None:
            self._say(sentences.why(plan) or "No candidate runs on this machine.", error=True)
            self._instead = await aside(lambda: self._backend.instead(plan))
            self._offer(self.query_one(CandidateTable).cursor_row)
        elif plan.candidates[index].download_bytes == 0 or not self._ask:
            self._run(index)
        else:
            self._offer(index)

    def _show_plan(self, plan: Plan, index: int | None) -> None:
        self._show_head()
        self.query_one("#body").display = True
        table = self.query_one(CandidateTable)
        table.show(plan, cursor=index)
        table.focus()
        if plan.candidates:
            self.query_one(Details).show(plan, index or 0)

    def _show_head(self) -> None:
        """The model and the machine."""
        self.query_one("#head", Static).update(_head(self._model, self._plan))

    def _say(self, sentence: str, *, error: bool = False) -> None:
        status = self.query_one("#status", Static)
        status.set_class(error, "-error")
        status.update(Content(text.visible(sentence)))

    def on_data_table_row_highlighted(self, event: CandidateTable.RowHighlighted) -> None:
        """Show why this candidate is as it is, and what taking it means."""
        if self._plan is None or event.cursor_row >= len(self._plan.candidates):
            return
        self.query_one(Details).show(self._plan, event.cursor_row)
        if not self._busy:
            self._offer(event.cursor_row)

    def on_data_table_row_selected(self, event: CandidateTable.RowSelected) -> None:
        """Take it."""
        self.action_go()

    @property
    def _busy(self) -> bool:
        """Whether a download or a load is under way."""
        return any(worker.group == "run" and worker.is_running for worker in self.workers)

    @work(exclusive=True, group="offer")
    async def _offer(self, index: int) -> None:
        """Say what Enter would do with this candidate."""
        plan = self._plan
        if plan is None:
            return
        candidate = plan.candidates[index]
        if candidate.verdict is Verdict.NO:
            why = " ".join([f"{candidate.quant} does not fit.", *sentences.reasons(candidate)[:1], self._instead])
            self._say(why.rstrip(), error=True)
        elif candidate.download_bytes:
            try:
                terms = await aside(lambda: self._backend.terms(plan, index))
            except LocalrunError as error:
                self._say(str(error), error=True)
            else:
                self._say(_question(candidate.download_bytes, terms))
        else:
            self._say(f"{candidate.quant} is here: Enter runs it.")

    def action_go(self) -> None:
        """Run the candidate under the cursor, try again after a failure, or go on at once."""
        if self._session is not None:
            self.dismiss(self._session)
        elif self._plan is None:
            self._begin()
        elif self._plan.candidates and not self._busy:
            self._run(self.query_one(CandidateTable).cursor_row)

    def action_choose(self) -> None:
        """Stop what is under way and choose again; a download goes on later from where it is."""
        if self._plan is not None and self._session is None and self._plan.candidates:
            self.workers.cancel_group(self, "run")
            self.query_one(Steps).clear()
            self._offer(self.query_one(CandidateTable).cursor_row)

    def action_back(self) -> None:
        """Leave; what is loaded by now is given back."""
        self.workers.cancel_group(self, "run")
        self.dismiss(None)

    @work(exclusive=True, group="run")
    async def _run(self, index: int) -> None:
        """Download what is missing, load, show planned against measured, and return the session."""
        plan = self._plan
        if plan is None or not _can_run(plan.candidates[index]):
            return
        self.workers.cancel_group(self, "offer")
        steps = self.query_one(Steps)
        steps.clear()
        try:
            if plan.candidates[index].download_bytes:
                self._say("Downloading. c chooses another; what has come so far is kept.")
                async for progress in batches(lambda: self._backend.fetch(plan, index)):
                    steps.show(*map(download_step, progress))
            self._say("Loading.")
            steps.clear()
            async for items in batches(lambda: self._backend.load(plan, index)):
                self._loading(plan.candidates[index].quant, items[-1])
        except LocalrunError as error:
            steps.clear()
            self._say(f"{error} Enter tries again.", error=True)
            return
        if self._session is not None:
            await self._ready(self._session)

    def _loading(self, quant: str, item: LoadProgress | Session) -> None:
        if isinstance(item, LoadProgress):
            words = text.percent(item.fraction)
            self.query_one(Steps).show(Step(f"loading {text.one_line(quant)}", item.fraction, words))
        else:
            self._session = item

    async def _ready(self, session: Session) -> None:
        """Planned against measured, long enough to be seen."""
        self.query_one(Steps).clear()
        table = "\n".join(memory_table(session.candidate, session.loaded))
        self._say(f"Loaded in {text.seconds(session.loaded.load_s)}.\n{table}")
        await asyncio.sleep(self._linger)
        self.dismiss(session)


def _head(name: str, plan: Plan | None) -> Content:
    title = (text.one_line(plan.model.name if plan else name), "bold $foreground")
    brand = ("localrun  ", "bold $accent")
    if plan is None:
        return styled(brand, title)
    model = plan.model
    experts = f" · {model.experts_used} of {model.experts} experts" if model.experts else ""
    facts = (
        f"{text.one_line(model.arch)} · {model.parameters / 1e9:.1f}B{experts} · {model.layers} layers · "
        f"trained to {text.context(model.context_trained)}"
    )
    return styled(brand, title, "  ", (facts, "$quiet"), "\n", (_machine(plan.machine), "$quiet"))


def _machine(machine: Machine) -> str:
    """`2 × RTX 3090 24.0 GiB · 64.0 GiB RAM`."""
    kinds = Counter((text.hardware(device.name), device.total) for device in machine.devices)
    devices = [
        f"{f'{count} × ' if count > 1 else ''}{name} {text.gib(total)} GiB" for (name, total), count in kinds.items()
    ]
    return " · ".join([*devices, text.hardware(machine.cpu_name), f"{text.gib(machine.ram_total)} GiB RAM"])


def _can_run(candidate: Candidate) -> bool:
    """Whether it may be tried: it fits, or somebody forced it with flags."""
    return candidate.verdict is not Verdict.NO or candidate.predicted is not None


def _question(size: int, terms: Terms) -> str:
    """The one question before a large download."""
    time = f" · about {text.seconds(terms.seconds)}" if terms.seconds is not None else ""
    licence = f" · licence {terms.licence}" if terms.licence else ""
    return f"Download {text.file_size(size)} to {terms.place}{time}{licence}? Enter goes on."
