"""The plan of a running model: change context, KV type or quantization, see the effect, apply it."""

from dataclasses import dataclass, replace
from itertools import count, takewhile
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from models.errors import LocalrunError
from models.headers.quants import CACHE_TYPES
from runner.report import sentences
from runner.report.placement import cache, expected, place_word
from runner.report.words import context, file_size, gib, one_line
from runner.types.plan import Candidate, Plan, Verdict
from runner.types.service import Service
from runner.types.wish import Wish
from tui.screens.candidates import CandidatesScreen
from tui.widgets.candidates import CandidateTable
from tui.widgets.details import Details
from tui.widgets.drawing import styled
from tui.workers import aside

_KV_TYPES = (None, *CACHE_TYPES)
_SMALLEST = 2048


@dataclass(frozen=True, slots=True)
class Change:
    """What to load instead: a candidate of a plan, which knows the wish that led to it."""

    plan: Plan
    index: int


class PlanScreen(CandidatesScreen[Change]):
    """Returns the change to apply; None to leave all as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "context(-1)", "Less context", priority=True),
        Binding("right", "context(1)", "More context", priority=True),
        Binding("k", "kv_type", "KV type"),
        Binding("enter", "apply", "Apply"),
        Binding("escape", "back", "Back"),
    ]

    def __init__(self, service: Service, name: str, plan: Plan, wish: Wish, running: Candidate | None) -> None:
        super().__init__()
        self._service, self._model = service, name
        self._plan, self._wish, self._now = plan, wish, running
        self._placement = running.placement if running else None

    def on_mount(self) -> None:
        """Show the present numbers, or those of the wish that was brought along."""
        self._show()
        self.query_one(CandidateTable).focus()
        if self._placement is None or self._wish.ctx not in (None, self._placement.ctx):
            self._replan()

    def _show(self) -> None:
        quants = [candidate.quant for candidate in self._plan.candidates]
        running = self._now.quant if self._now else None
        cursor = quants.index(running) if running in quants else self._plan.chosen
        self.query_one("#head", Static).update(_settings(self._plan, self._wish))
        self.query_one(CandidateTable).show(self._plan, running, cursor)

    def on_data_table_row_highlighted(self, event: CandidateTable.RowHighlighted) -> None:
        """Show the candidate and what it would change."""
        if event.cursor_row < len(self._plan.candidates):
            self.query_one(Details).show(self._plan, event.cursor_row)
            self.say(_effect(self._now, self._plan.candidates[event.cursor_row]))

    def on_data_table_row_selected(self, event: CandidateTable.RowSelected) -> None:
        """Take this candidate."""
        self.action_apply()

    def action_context(self, step: int) -> None:
        """The next longer or shorter context."""
        lengths = context_lengths(self._plan.model.context_trained)
        now = self._wish.ctx or (self._placement.ctx if self._placement else _SMALLEST)
        others = [length for length in lengths if (length - now) * step > 0]
        if others:
            self._wish = replace(self._wish, ctx=others[0] if step > 0 else others[-1])
            self._replan()

    def action_kv_type(self) -> None:
        """The next KV type; the first is automatic."""
        place = _KV_TYPES.index(self._wish.kv_type)
        self._wish = replace(self._wish, kv_type=_KV_TYPES[(place + 1) % len(_KV_TYPES)])
        self._replan()

    @work(exclusive=True)
    async def _replan(self) -> None:
        """Ask the planner with the new settings; an older question is forgotten."""
        wish = self._wish
        self.query_one("#head", Static).update(_settings(self._plan, wish))
        self.say("Planning…")
        try:
            self._plan = await aside(lambda: self._service.plan(self._model, wish))
        except LocalrunError as error:
            self.say(str(error), error=True)
        else:
            self._show()

    def action_apply(self) -> None:
        """Load the candidate under the cursor instead."""
        index = self.query_one(CandidateTable).cursor_row
        if any(worker.is_running for worker in self.workers if worker.node is self):
            return
        candidate = self._plan.candidates[index]
        if candidate.placement is None:
            self.say(" ".join(("This one does not fit.", *sentences.reasons(candidate)[:1])), error=True)
        else:
            self.dismiss(Change(self._plan, index))


def context_lengths(trained: int) -> list[int]:
    """Doubling from 2k up to the trained length, which is always one of them."""
    doubled = (_SMALLEST << times for times in count())
    return [*takewhile(lambda length: length < trained, doubled), trained]


def _settings(plan: Plan, wish: Wish) -> Content:
    ctx = context(wish.ctx) if wish.ctx else "automatic"
    return styled(
        ("Plan  ", "bold $accent"),
        (one_line(plan.model.name), "bold"),
        ("    context ", "$quiet"),
        ("‹ ", "$accent"),
        (ctx, "bold"),
        (" ›", "$accent"),
        ("    KV type ", "$quiet"),
        ("k ", "$accent"),
        (wish.kv_type or "automatic", "bold"),
    )


def _effect(running: Candidate | None, candidate: Candidate) -> str:
    """Now and then, in one line each."""
    if candidate.verdict is Verdict.NO and candidate.placement is None:
        return " ".join(("This one does not fit.", *sentences.reasons(candidate)[:1]))
    now = f"now   {_outlook(running)}\n" if running else ""
    here = not candidate.download_bytes or (running is not None and running.files == candidate.files)
    download = "" if here else f" · {file_size(candidate.download_bytes)} to download"
    return f"{now}then  {_outlook(candidate)}{download}"


def _outlook(candidate: Candidate) -> str:
    """`Q4_K_M · GPU · 8k context in f16 · about 17.3 tok/s · 43.9 GiB`."""
    facts = [
        candidate.quant,
        place_word(candidate),
        cache(candidate.placement) if candidate.placement else "",
        expected(candidate),
        gib(sum(row.total for row in candidate.memory)),
    ]
    return " · ".join(filter(None, facts))
