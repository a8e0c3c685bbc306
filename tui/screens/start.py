"""The way to a loaded model: plan, choose, download, load; gone in a second when all is here."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from models.errors import LocalrunError
from runner.report import sentences
from runner.report.comparison import memory_table
from runner.report.download import download_question
from runner.report.placement import machine_facts, model_facts
from runner.report.words import one_line, percent, seconds
from runner.types.engine import LoadProgress
from runner.types.plan import Candidate, Plan, Verdict
from runner.types.service import Service, Session
from runner.types.wish import Wish
from tui.screens.candidates import CandidatesScreen
from tui.widgets.candidates import CandidateTable
from tui.widgets.details import Details
from tui.widgets.drawing import styled
from tui.widgets.steps import Step, Steps, download_step
from tui.workers import aside, batches


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to plan; with `plan` and `index` it is planned, and goes straight to the load.

    `ask` False: download without a question. `keep`: leave the engine warm for so many seconds.
    """

    name: str
    wish: Wish
    plan: Plan | None = None
    index: int | None = None
    ask: bool = True
    keep: float | None = None


class Start(CandidatesScreen[Session]):
    """Returns a session; None to go back. For `result_seconds` it shows planned against measured."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "go", "Run this"),
        Binding("c", "choose", "Choose another"),
        Binding("escape", "back", "Back"),
    ]

    def __init__(self, service: Service, wanted: Wanted, result_seconds: float = 0.0) -> None:
        super().__init__()
        self._service, self._wanted, self._result_seconds = service, wanted, result_seconds
        # One after the other, and each for good: planned, then what would run where nothing of it does, then loaded.
        self._plan = wanted.plan
        self._instead = ""
        self._session: Session | None = None
        self._row: int | None = None  # the candidate that the sentence is about

    def below(self) -> ComposeResult:
        """Bars for what is under way."""
        yield Steps()

    def on_mount(self) -> None:
        """Begin."""
        self._show_head()
        self.query_one("#body").display = False
        self._begin()

    @work(exclusive=True)
    async def _begin(self) -> None:
        """Take what is warm; else plan, and go on by itself when nothing has to be asked."""
        plan, wanted = self._plan, self._wanted
        if plan is None:
            self.say(f"Looking at this machine and at the headers of {one_line(wanted.name)}…")
            try:
                warm = await aside(lambda: self._service.warm(wanted.name, wanted.wish, wanted.keep))
                if warm is not None:
                    self.dismiss(warm)
                    return
                plan = await aside(lambda: self._service.plan(wanted.name, wanted.wish))
            except LocalrunError as error:
                self.say(str(error), error=True)
                return
        self._plan = plan
        index = self._wanted.index if self._wanted.index is not None else plan.chosen
        self._show_plan(plan, index)
        if index is None:
            self.say(sentences.why(plan) or "No candidate runs on this machine.", error=True)
            self._instead = await aside(lambda: self._service.instead(plan))
            self._offer(self.query_one(CandidateTable).cursor_row)
        elif plan.candidates[index].download_bytes == 0 or not self._wanted.ask:
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
        self.query_one("#head", Static).update(_head(self._wanted.name, self._plan))

    def on_data_table_row_highlighted(self, event: CandidateTable.RowHighlighted) -> None:
        """Show why this candidate is as it is, and what taking it means."""
        row = event.data_table.cursor_row  # the event may be older than a later move
        if self._plan is None or row >= len(self._plan.candidates):
            return
        self.query_one(Details).show(self._plan, row)
        if not self._busy and row != self._row:
            self._offer(row)

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
        self._row = index
        plan = self._plan
        if plan is None:
            return
        candidate = plan.candidates[index]
        if candidate.verdict is Verdict.NO:
            why = " ".join([f"{candidate.quant} does not fit.", *sentences.reasons(candidate)[:1], self._instead])
            self.say(why.rstrip(), error=True)
        elif candidate.download_bytes:
            try:
                terms = await aside(lambda: self._service.terms(plan, index))
            except LocalrunError as error:
                self.say(str(error), error=True)
            else:
                self.say(f"{download_question(plan, candidate, terms)} Enter goes on.")
        else:
            self.say(f"{candidate.quant} is here: Enter runs it.")

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
        super().action_back()

    @work(exclusive=True, group="run")
    async def _run(self, index: int) -> None:
        """Download what is missing, load, show planned against measured, and return the session."""
        plan = self._plan
        if plan is None or not _can_run(plan.candidates[index]):
            return
        self._row = index
        self.workers.cancel_group(self, "offer")
        steps = self.query_one(Steps)
        steps.clear()
        try:
            if plan.candidates[index].download_bytes:
                self.say("Downloading. c chooses another; what has come so far is kept.")
                async for progress in batches(lambda: self._service.fetch(plan, index)):
                    steps.show(*map(download_step, progress))
            self.say("Loading.")
            steps.clear()
            async for items in batches(lambda: self._load(plan, index)):
                self._loading(plan.candidates[index], items[-1])
        except LocalrunError as error:
            steps.clear()
            self.say(f"{error} Enter tries again.", error=True)
            return
        if self._session is not None:
            await self._ready(self._session)

    def _load(self, plan: Plan, index: int) -> Iterator[LoadProgress | Session]:
        if self._wanted.keep:
            return self._service.load_kept(plan, index, self._wanted.keep)
        return self._service.load(plan, index)

    def _loading(self, candidate: Candidate, item: LoadProgress | Session) -> None:
        if isinstance(item, LoadProgress):
            step = Step(f"Loading {one_line(candidate.quant)}", item.fraction, percent(item.fraction))
            self.query_one(Steps).show(step)
        else:
            self._session = item

    async def _ready(self, session: Session) -> None:
        """Planned against measured, long enough to be seen."""
        self.query_one(Steps).clear()
        table = "\n".join(memory_table(session.candidate, session.loaded).lines())
        self.say(f"Loaded in {seconds(session.loaded.load_s)}.\n{table}")
        await asyncio.sleep(self._result_seconds)
        self.dismiss(session)


def _head(name: str, plan: Plan | None) -> Content:
    """The model, below it the machine."""
    title = (one_line(plan.model.name if plan else name), "bold $foreground")
    brand = ("localrun  ", "bold $accent")
    if plan is None:
        return styled(brand, title)
    model = " · ".join((one_line(plan.model.arch), *model_facts(plan.model)))
    return styled(brand, title, "  ", (model, "$quiet"), "\n", (" · ".join(machine_facts(plan.machine)), "$quiet"))


def _can_run(candidate: Candidate) -> bool:
    """Whether it may be tried: it fits, or somebody forced it with flags."""
    return candidate.verdict is not Verdict.NO or candidate.predicted is not None
