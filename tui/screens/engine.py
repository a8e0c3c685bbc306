"""A screen over an engine that may be replaced while it lasts: by another plan, or after it died."""

from functools import partial

from textual import work

from models.errors import LocalrunError
from runner.report.words import visible
from runner.types.plan import Plan
from runner.types.service import Service, Session
from runner.types.wish import Wish
from tui.screens.leaving import LeftOnce
from tui.screens.plan import Change, PlanScreen
from tui.screens.start import Start, Wanted
from tui.settings import ChatSettings, Next
from tui.workers import aside


class EngineScreen(LeftOnce[Next | None]):
    """Holds the session, and what was planned for it: that is loaded again when the engine has died."""

    def __init__(self, service: Service, session: Session, settings: ChatSettings) -> None:
        super().__init__()
        self._service, self._settings = service, settings
        self._session: Session | None = session
        self._plan: Plan = session.plan
        self._candidate = session.candidate
        self._is_planned_elsewhere = session.is_kept

    def show_session(self) -> None:
        """Another model, or the same one placed differently, answers from here on."""

    def keep_up(self) -> None:
        """The session runs something else than it did: memory ran out."""
        if self._session is not None:
            self._plan, self._candidate = self._session.plan, self._session.candidate
            self._is_planned_elsewhere = self._session.is_kept
            self.show_session()

    def complain(self, sentence: str) -> None:
        """One sentence about what cannot be done."""
        self.notify(visible(sentence), severity="warning", markup=False)

    def is_idle(self) -> bool:
        """Whether a turn may begin; says what to do if not."""
        busy = any(worker.group == "turn" and worker.is_running for worker in self.workers)
        if busy:
            self.complain(self._what_is_under_way)
        return not busy

    @property
    def _what_is_under_way(self) -> str:
        """Why a turn cannot begin."""
        return "One moment: what was asked for before is still under way."

    async def _engine(self) -> Session | None:
        """The running engine; a dead one is started anew."""
        if self._session is None and self._is_planned_elsewhere:
            await self._load(self._plan.wish)
        elif self._session is None:
            quants = [candidate.quant for candidate in self._plan.candidates]
            index = quants.index(self._candidate.quant) if self._candidate.quant in quants else self._plan.chosen
            await self._load(self._plan.wish, self._plan, index)
        return self._session

    @work(exclusive=True, group="turn")
    async def _open_plan(self, wish: Wish) -> None:
        await self._change(wish)

    async def _change(self, wish: Wish) -> bool:
        """Open the plan with a wish, and apply what comes back: the engine restarts, the conversation stays.

        A look that is left with Escape leaves nothing behind.
        """
        running = self._candidate if self._session else None
        if self._is_planned_elsewhere and not await self._plan_here():
            return False
        screen = PlanScreen(self._service, self._settings.name, self._plan, wish, running)
        change: Change | None = await self.app.push_screen_wait(screen)
        if change is None:
            return False
        await self._leave_engine()
        await self._load(change.plan.wish, change.plan, change.index)
        return self._session is not None

    async def _plan_here(self) -> bool:
        """A plan that can be loaded, in the place of one that only says what runs; said where there is none."""
        try:
            self._plan = await aside(partial(self._service.plan, self._settings.name, self._plan.wish))
        except LocalrunError as error:
            self.complain(str(error))
            return False
        self._is_planned_elsewhere = False
        return True

    async def _leave_engine(self) -> None:
        """End an engine that runs."""
        await self._drop_engine()

    async def _drop_engine(self) -> None:
        """Close the engine, so that the next turn starts it anew."""
        if self._session is not None:
            await aside(self._session.close)
            self._session = None

    async def _load(self, wish: Wish, plan: Plan | None = None, index: int | None = None) -> None:
        """Let the start screen load a candidate; leaving it leaves the chat without an engine for now."""
        wanted = Wanted(self._settings.name, wish, plan, index, keep=self._settings.keep)
        start = Start(self._service, wanted, self._settings.clocks.result)
        session = await self.app.push_screen_wait(start)
        if session is None:
            self.complain("No model is loaded. The next message loads one.")
        else:
            self._session = session
            self.keep_up()
