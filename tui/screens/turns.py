"""Turns, the context they must fit, and the engine that answers; knows no keys and no panel."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from textual import work
from textual.screen import Screen

from models.errors import EngineError, LocalrunError
from runner.storage.conversations import ConversationStore, Log, Turn
from runner.types.generation import Chunk, Phase
from runner.types.plan import Plan, Wish
from runner.types.sampling import Sampling
from runner.types.service import Service, Session
from tui.screens.dialogs import Ask, Suggestion
from tui.screens.plan import Change, PlanScreen
from tui.screens.start import Start
from tui.view import text
from tui.view.turns import drop_points, more_context, note, room_for_answer, sent, under_way
from tui.widgets.composer import Composer
from tui.widgets.conversation import ConversationView
from tui.widgets.turn import Answer
from tui.workers import aside, batches


@dataclass(slots=True)
class ChatSettings:
    """What a chat is held with; `name` is what was planned. `clock`, `tick` and `linger` are the application's."""

    name: str
    wish: Wish
    sampling: Sampling
    system: str
    clock: Callable[[], float]
    tick: float | None
    linger: float


class ConversationScreen(Screen[str | None]):
    """A conversation with a session that may be replaced while it lasts."""

    def __init__(self, backend: Service, shelf: ConversationStore, session: Session, settings: ChatSettings) -> None:
        super().__init__()
        self._backend, self._shelf, self._settings = backend, shelf, settings
        self._session: Session | None = session
        self._plan: Plan = session.plan
        self._candidate = session.candidate
        self._log: Log = shelf.new(self._label, settings.system)
        self._last: Chunk | None = None
        self._answering: Answer | None = None
        self._stopping = False
        self._editing: int | None = None

    @property
    def _label(self) -> str:
        return f"{self._settings.name} {self._candidate.quant}"

    def show_session(self) -> None:
        """Another model, or the same one placed differently, answers from now on."""

    def show_title(self) -> None:
        """The conversation is another, or its title is."""

    def complain(self, sentence: str) -> None:
        """One sentence about what cannot be done."""
        self.notify(text.visible(sentence), severity="warning", markup=False)

    def is_idle(self) -> bool:
        """Whether a turn may begin; says what to do if not."""
        busy = any(worker.group == "turn" and worker.is_running for worker in self.workers)
        if busy:
            self.complain("The model is still answering. Esc stops it.")
        return not busy

    # Turns

    @work(exclusive=True, group="turn")
    async def _say(self, said: str) -> None:
        """Ask, and answer."""
        turns = self._log.conversation.turns[: self._editing]
        if not await self._fits((*turns, Turn("user", said)), fresh=True):
            self.query_one(Composer).put(said)
            return
        if self._editing is not None:
            await self._keep(self._editing)
        view = self.query_one(ConversationView)
        with self._saving():
            self._log.say("user", said)
        await view.ask(said)
        self.show_title()
        await self._answer()

    async def _keep(self, count: int) -> None:
        """Forget all turns but the first `count`."""
        self._editing = None
        with self._saving():
            self._log.keep(count)
        await self.query_one(ConversationView).keep(count)

    async def _answer(self) -> None:
        """A new answer to everything that was said."""
        messages = self._log.conversation.messages
        with self._saving():
            self._log.say("assistant", "")
        widget = await self.query_one(ConversationView).answer()
        await self._generate(widget, lambda session: session.generate(messages, self._settings.sampling))

    async def _generate(self, widget: Answer, begin: Callable[[Session], Iterator[Chunk]]) -> None:
        """Let an answer grow until it ends, and keep every piece of it."""
        session = self._session
        if session is None:
            return
        self._answering, self._stopping, self._last = widget, False, None
        widget.note("thinking about it… · Esc stops")
        try:
            async for chunks in batches(lambda: begin(session)):
                self._grow(widget, chunks)
            ending = note(self._last or Chunk(Phase.DONE), session.loaded.ctx)
            widget.note(ending)
        except LocalrunError as error:
            ending = text.one_line(str(error))
            if isinstance(error, EngineError):
                await self._drop_engine()
                ending += " Nothing said is lost: Ctrl+R starts the engine anew and answers again."
            widget.note(ending, error=True)
        finally:
            self._answering = None
        with self._saving():
            self._log.end(ending)

    def _grow(self, widget: Answer, chunks: list[Chunk]) -> None:
        said = "".join(chunk.text for chunk in chunks)
        thought = "".join(chunk.reasoning for chunk in chunks)
        if said or thought:
            with self._saving():
                self._log.grow(said, thought)
            widget.grow(said, thought)
        self._last = chunks[-1]
        if not self._stopping:
            widget.note(under_way(self._last))

    @contextmanager
    def _saving(self) -> Iterator[None]:
        """Say when the disk refuses; the conversation goes on, and is written when it can be."""
        try:
            yield
        except OSError as error:
            self.complain(
                f"The conversation could not be saved: {error.strerror}. It is tried again with the next word."
            )

    @work(exclusive=True, group="turn")
    async def _again(self, count: int) -> None:
        if await self._fits(self._log.conversation.turns[:count]):
            await self._keep(count)
            await self._answer()

    @work(exclusive=True, group="turn")
    async def _go_on(self) -> None:
        if not await self._fits(self._log.conversation.turns):
            return
        messages, sampling = self._log.conversation.messages, self._settings.sampling
        widget = self.query_one(ConversationView).turns[-1]
        if isinstance(widget, Answer) and messages and messages[-1].role == "assistant":
            await self._generate(widget, lambda session: session.generate(messages, sampling, continue_last=True))

    def _last_question(self) -> int | None:
        turns = self._log.conversation.turns
        return next((index for index in reversed(range(len(turns))) if turns[index].role == "user"), None)

    @work(exclusive=True, group="turn")
    async def _open(self, log: Log) -> None:
        await self._begin(log)

    async def _begin(self, log: Log) -> None:
        """Go on with another conversation; the engine keeps running."""
        self._log, self._last, self._editing = log, None, None
        await self.query_one(ConversationView).show(log.conversation)
        self.query_one(Composer).remember([turn.text for turn in log.conversation.turns if turn.role == "user"])
        self.show_title()

    # What fits the context

    async def _fits(self, turns: tuple[Turn, ...], *, fresh: bool = False) -> bool:
        """Whether the turns leave room for an answer, after asking what to do if they do not.

        `fresh`: the last turn is a new message, which may go into a new chat.
        """
        try:
            while (session := await self._engine()) is not None:
                needed = await self._tokens(session, turns, self._log.conversation.skipped)
                if needed <= self._room(session):
                    return True
                way = await self._ask_for_room(session, turns, needed, fresh=fresh)
                if way is None:
                    return False
                if way == "new":
                    turns = turns[-1:]
        except LocalrunError as error:
            self.complain(str(error))
            await self._drop_engine()
        return False

    def _room(self, session: Session) -> int:
        """Tokens that a conversation may have before its answer."""
        return session.loaded.ctx - room_for_answer(self._settings.sampling, session.loaded.ctx)

    async def _tokens(self, session: Session, turns: tuple[Turn, ...], skipped: int) -> int:
        messages = sent(self._log.conversation.system, turns, skipped)
        return await aside(lambda: session.count_tokens(messages))

    async def _ask_for_room(self, session: Session, turns: tuple[Turn, ...], needed: int, *, fresh: bool) -> str | None:
        """More context, fewer turns or a new chat: what was done, None for nothing."""
        ctx, trained = session.loaded.ctx, self._plan.model.context_trained
        longer = more_context(needed, ctx, trained)
        drop = await self._droppable(session, turns)
        ways = _ways(longer, trained, drop, fresh=fresh and len(turns) > 1 and drop > 0)
        question = f"This turn needs {needed:,} tokens and room for an answer; the context holds {ctx:,}."
        way = await self.app.push_screen_wait(Ask("It would not fit the context", question, ways))
        if way == "more":
            changed = await self._change(replace(self._settings.wish, ctx=longer))
            return way if changed else None
        if way == "drop":
            with self._saving():
                self._log.skip(drop)
            await self.query_one(ConversationView).say_skipped(drop)
        elif way == "new":
            await self._begin(self._shelf.new(self._label, self._log.conversation.system))
        return way

    async def _droppable(self, session: Session, turns: tuple[Turn, ...]) -> int:
        """The smallest number of oldest turns without which the rest fits; 0 if none does."""
        for count in drop_points(turns, self._log.conversation.skipped):
            if await self._tokens(session, turns, count) <= self._room(session):
                return count
        return 0

    # The engine

    async def _engine(self) -> Session | None:
        """The running engine; a dead one is started anew."""
        if self._session is None:
            quants = [candidate.quant for candidate in self._plan.candidates]
            index = quants.index(self._candidate.quant) if self._candidate.quant in quants else self._plan.chosen
            await self._load(self._plan, index)
        return self._session

    async def _change(self, wish: Wish) -> bool:
        """Open the plan with a wish, and apply what comes back: the engine restarts, the conversation stays."""
        running = self._candidate if self._session else None
        screen = PlanScreen(self._backend, self._settings.name, self._plan, wish, running)
        change: Change | None = await self.app.push_screen_wait(screen)
        if change is None:
            return False
        self._settings.wish = change.wish
        await self._drop_engine()
        await self._load(change.plan, change.index)
        return self._session is not None

    async def _drop_engine(self) -> None:
        """Close the engine, so that the next turn starts it anew."""
        if self._session is not None:
            await aside(self._session.close)
            self._session = None

    async def _load(self, plan: Plan, index: int | None) -> None:
        """Let the start screen load a candidate; leaving it leaves the chat without an engine for now."""
        settings = self._settings
        start = Start(self._backend, settings.name, settings.wish, plan=plan, index=index, linger=settings.linger)
        session = await self.app.push_screen_wait(start)
        if session is None:
            self.complain("No model is loaded. The next message loads one.")
        else:
            self._session, self._last = session, None
            self._plan, self._candidate = session.plan, session.candidate
            self.show_session()
            self.show_title()

    @work(exclusive=True, group="turn")
    async def _open_plan(self, wish: Wish) -> None:
        await self._change(wish)


def _ways(longer: int | None, trained: int, drop: int, *, fresh: bool) -> list[Suggestion]:
    """What can be done about a turn that would not fit; what cannot is shown with its reason."""
    more, why_more = "More context", f"The model was trained for {trained:,} tokens; that is not enough."
    if longer:
        more = f"More context: {text.context(longer)}"
        why_more = "Shows the new plan first; the engine restarts, the conversation stays."
    oldest, why_oldest = "Drop the oldest turns", "The last message alone is too long."
    if drop:
        oldest = f"Drop the {text.plural(drop, 'oldest turn')}"
        why_oldest = "The system prompt stays, and the file keeps the turns."
    why_new = "This one is kept; the message goes into the new one." if fresh else "It would not help here."
    return [
        Suggestion("more", more, why_more, disabled=not longer),
        Suggestion("drop", oldest, why_oldest, disabled=not drop),
        Suggestion("new", "A new chat", why_new, disabled=not fresh),
    ]
