"""The chat: the conversation, and beside it where the model lives and how fast it is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static, TextArea

from models.errors import EngineError, LocalrunError, UsageError
from runner.conversations import Log, Shelf, Turn, to_markdown
from runner.events import Chunk, Phase, Sampling
from runner.plan import Plan, Wish
from tui import actions, text
from tui.backend import Backend, Session
from tui.compare import memory_table, speed_table
from tui.export import write_new
from tui.meters import Meter, live
from tui.pump import aside, batches
from tui.screens.dialogs import Ask, Line, Reading, Way
from tui.screens.help import help_text
from tui.screens.plan import Change, PlanScreen
from tui.screens.shelves import Shelves
from tui.screens.start import Start
from tui.turns import drop_points, more_context, note, room_for_answer, sent, under_way
from tui.widgets.candidates import WHERE
from tui.widgets.composer import Composer
from tui.widgets.conversation import ConversationView
from tui.widgets.drawing import spread, styled
from tui.widgets.panel import Panel, Strip
from tui.widgets.speed import Speed
from tui.widgets.turn import Answer

_FOOTER = {"help", "plan", "load", "panel", "clear"}
_HISTORY = 240


@dataclass(slots=True)
class Settings:
    """What a chat is held with; `name` is what was planned, `clock` counts seconds."""

    name: str
    wish: Wish
    sampling: Sampling
    system: str
    clock: Callable[[], float]
    tick: float | None


def _bindings() -> list[BindingType]:
    keys: list[BindingType] = [
        Binding(action.key, action.name, action.title, show=action.name in _FOOTER, priority=True)
        for action in actions.ACTIONS
        if action.key
    ]
    letters: list[BindingType] = [
        Binding(action.letter, action.name, show=False) for action in actions.ACTIONS if action.letter
    ]
    return [
        *keys,
        *letters,
        Binding("escape", "stop", "Stop", show=False),
        Binding("i,enter", "write", "Write", show=False),
    ]


class Chat(Screen[str | None]):
    """Returns the name of another model to run (empty: let me pick), or None to end."""

    CSS_PATH = "chat.tcss"
    BINDINGS: ClassVar[list[BindingType]] = _bindings()

    def __init__(self, backend: Backend, shelf: Shelf, session: Session, settings: Settings) -> None:
        super().__init__()
        self._backend, self._shelf, self._settings = backend, shelf, settings
        self._session: Session | None = session
        self._plan: Plan = session.plan
        self._candidate = session.candidate
        self._log: Log = shelf.new(self._label, settings.system)
        self._last: Chunk | None = None
        self._history: list[float] = []
        self._counted: tuple[float, int] | None = None
        self._meters: tuple[Meter, ...] = ()
        self._answering: Answer | None = None
        self._stopping = False
        self._editing: int | None = None

    # What is on the screen

    def compose(self) -> ComposeResult:
        """Head, conversation beside panel, composer, footer."""
        yield Static(id="head")
        yield Strip(id="strip")
        with Horizontal(id="body"):
            with Vertical(id="talk"):
                yield ConversationView(id="conversation")
                yield Static(id="hint")
                yield Composer(id="composer")
            yield Panel(id="panel")
        yield Footer()

    def on_mount(self) -> None:
        """Show the model, and begin to measure."""
        self.query_one(Composer).focus()
        self._show_session()
        self._welcome()
        if self._settings.tick is not None:
            self.set_interval(self._settings.tick, self.tick)
        self.tick()

    @property
    def _label(self) -> str:
        return f"{self._settings.name} {self._candidate.quant}"

    def _welcome(self) -> None:
        model = self._plan.model
        hint = f"{text.one_line(model.name)} is ready. F1 helps, / lists the commands."
        self.query_one("#hint", Static).update(styled((hint, "$quiet")))

    def _show_session(self) -> None:
        """Everything that changes with the model."""
        if self._session is None:
            return
        self._plan, self._candidate = self._session.plan, self._session.candidate
        self.query_one(Panel).show_model(
            self._candidate, self._session.placement, self._plan.model, self._session.loaded
        )
        self._show_head()
        self._show_speed()

    def _show_head(self) -> None:
        candidate = self._candidate
        placement = candidate.placement
        ctx = self._session.loaded.ctx if self._session else 0
        facts = [text.one_line(candidate.quant), WHERE[candidate.verdict], f"{text.context(ctx)} context"]
        facts += [f"KV {placement.kv_type}"] if placement else []
        model = text.one_line(self._plan.model.name)
        left = styled(("localrun  ", "bold $accent"), (model, "bold"), ("  " + " · ".join(facts), "$quiet"))
        title = styled((text.visible(self._log.conversation.title), "italic"))
        self.query_one("#head", Static).update(spread(left, title, max(10, self.app.size.width - 2)))

    def on_resize(self) -> None:
        """The head spans the width."""
        self._show_head()

    # Twice a second

    def tick(self) -> None:
        """Measure the machine, and the speed since the last tick."""
        self._count()
        self._show_speed()
        if not any(worker.group == "sample" and worker.is_running for worker in self.workers):
            self._sample()

    def _count(self) -> None:
        """Tokens per second since the last tick, while tokens come."""
        last, now = self._last, self._settings.clock()
        if self._answering is None or last is None or last.phase is not Phase.DECODE:
            self._counted = None
            return
        if self._counted and now > self._counted[0] and last.completion_tokens >= self._counted[1]:
            rate = (last.completion_tokens - self._counted[1]) / (now - self._counted[0])
            self._history = [*self._history, rate][-_HISTORY:]
        self._counted = (now, last.completion_tokens)

    def _speed(self) -> Speed:
        last = self._last
        decoding = self._answering is not None and last is not None and last.phase is Phase.DECODE
        now = self._history[-1] if decoding and self._history else last.decode_tps if last else None
        return Speed(
            tuple(self._history),
            now,
            last.prefill_tps if last else None,
            last.ttft_s if last else None,
            last.context_used if last else 0,
            self._session.loaded.ctx if self._session else 0,
            self._candidate.predicted,
        )

    def _show_speed(self) -> None:
        speed = self._speed()
        self.query_one(Panel).show_speed(speed)
        self.query_one(Strip).show(self._meters, speed)

    @work(group="sample")
    async def _sample(self) -> None:
        session = self._session
        if session is None:
            return
        try:
            sample = await aside(session.sample)
        except LocalrunError:
            return
        if session is self._session:
            used = self._last.context_used if self._last else 0
            self._meters = live(session.candidate, self._plan.machine, session.loaded, sample, used)
            self.query_one(Panel).show_memory(self._meters, session.placement)
            self.query_one(Strip).show(self._meters, self._speed())

    # Writing

    @on(TextArea.Changed, "#composer")
    def _complete(self, event: TextArea.Changed) -> None:
        """List the commands that a slash may become."""
        found = actions.completions(event.text_area.text)
        hint = "  ".join(f"/{action.slash}" for action in found)
        best = f"   Tab: {found[0].help}" if found else ""
        self.query_one("#hint", Static).update(styled((hint, "$accent"), (best, "$quiet")))

    @on(Composer.Sent)
    def _sent(self, event: Composer.Sent) -> None:
        """A command or a message; what cannot be taken now goes back into the composer."""
        try:
            found = actions.command(event.text)
        except UsageError as error:
            self.query_one(Composer).put(event.text)
            self._complain(str(error))
            return
        if found is not None:
            action, argument = found
            getattr(self, f"action_{action.name}")(argument)
        elif self._is_idle():
            self._say(event.text.removeprefix("/") if event.text.startswith("//") else event.text)
        else:
            self.query_one(Composer).put(event.text)

    @on(Composer.Left)
    def _left(self) -> None:
        if self._answering is not None:
            self.action_stop()
        elif self._editing is not None:
            self._editing = None
            self.query_one(Composer).put("")
            self._welcome()
        else:
            self.query_one(ConversationView).focus()

    def _complain(self, sentence: str) -> None:
        self.notify(text.visible(sentence), severity="warning", markup=False)

    def _is_idle(self) -> bool:
        """Whether a turn may begin; says what to do if not."""
        busy = any(worker.group == "turn" and worker.is_running for worker in self.workers)
        if busy:
            self._complain("The model is still answering. Esc stops it.")
        return not busy

    # Turns

    @work(exclusive=True, group="turn")
    async def _say(self, said: str) -> None:
        """Ask, and answer."""
        turns = self._log.conversation.turns[: self._editing]
        if not await self._fits((*turns, Turn("user", said))):
            self.query_one(Composer).put(said)
            return
        if self._editing is not None:
            await self._keep(self._editing)
        view = self.query_one(ConversationView)
        with self._saving():
            self._log.say("user", said)
        await view.ask(said)
        self._show_head()
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
                await self._grow(widget, chunks)
            ending = note(self._last or Chunk(Phase.DONE), session.loaded.ctx)
            widget.note(ending)
        except LocalrunError as error:
            ending = text.one_line(str(error))
            if isinstance(error, EngineError):
                await aside(session.close)
                self._session = None
                ending += " Nothing said is lost: Ctrl+R starts the engine anew and answers again."
            widget.note(ending, error=True)
        finally:
            self._answering = None
        with self._saving():
            self._log.end(ending)
        self._show_speed()

    async def _grow(self, widget: Answer, chunks: list[Chunk]) -> None:
        said = "".join(chunk.text for chunk in chunks)
        thought = "".join(chunk.reasoning for chunk in chunks)
        if said or thought:
            with self._saving():
                self._log.grow(said, thought)
            await widget.grow(said, thought)
        self._last = chunks[-1]
        if not self._stopping:
            widget.note(under_way(self._last))

    @contextmanager
    def _saving(self) -> Iterator[None]:
        """Say when the disk refuses; the conversation goes on, and is written when it can be."""
        try:
            yield
        except OSError as error:
            self._complain(
                f"The conversation could not be saved: {error.strerror}. It is tried again with the next word."
            )

    # What fits the context

    async def _fits(self, turns: tuple[Turn, ...]) -> bool:
        """Whether the turns leave room for an answer, after asking what to do if they do not."""
        while (session := await self._engine()) is not None:
            conversation = self._log.conversation
            room = session.loaded.ctx - room_for_answer(self._settings.sampling, session.loaded.ctx)
            needed = await self._tokens(session, turns, conversation.skipped)
            if needed <= room:
                return True
            way = await self._ask_for_room(session, turns, needed)
            if way is None:
                return False
            if way == "new":
                turns = turns[-1:]
        return False

    async def _tokens(self, session: Session, turns: tuple[Turn, ...], skipped: int) -> int:
        messages = sent(self._log.conversation.system, turns, skipped)
        return await aside(lambda: session.count_tokens(messages))

    async def _ask_for_room(self, session: Session, turns: tuple[Turn, ...], needed: int) -> str | None:
        """More context, fewer turns or a new chat: what was done, None for nothing."""
        ctx, trained = session.loaded.ctx, self._plan.model.context_trained
        longer = more_context(needed, ctx, trained)
        drop = await self._droppable(session, turns)
        ways = [
            Way("more", f"More context: {text.context(longer)}" if longer else "More context", _more_help(longer, trained), not longer),
            Way("drop", f"Drop the {text.plural(drop, 'oldest turn')}" if drop else "Drop the oldest turns", "The system prompt stays; the file keeps them." if drop else "The last message alone is too long.", not drop),
            Way("new", "A new chat", "This one is kept; the message goes into the new one.", len(turns) == 1),
        ]  # fmt: skip
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
        room = session.loaded.ctx - room_for_answer(self._settings.sampling, session.loaded.ctx)
        for count in drop_points(turns, self._log.conversation.skipped):
            if await self._tokens(session, turns, count) <= room:
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
        if self._session is not None:
            await aside(self._session.close)
            self._session = None
        await self._load(change.plan, change.index)
        return self._session is not None

    async def _load(self, plan: Plan, index: int | None) -> None:
        start = Start(self._backend, self._settings.name, self._settings.wish, plan=plan, index=index)
        session = await self.app.push_screen_wait(start)
        if session is not None:
            self._session, self._last, self._history = session, None, []
            self._show_session()
            self.tick()

    # Actions, named in tui.actions

    def action_stop(self) -> None:
        """Stop the answer; the screen says so at once."""
        if self._answering is not None and self._session is not None:
            self._stopping = True
            self._answering.note("stopping…")
            self._session.stop()

    def action_write(self) -> None:
        """Back to the composer."""
        self.query_one(Composer).focus()

    def action_help(self, argument: str = "") -> None:
        """Keys and commands."""
        self.app.push_screen(Reading("Help", help_text()))

    @work(exclusive=True, group="turn")
    async def _open_plan(self, wish: Wish) -> None:
        await self._change(wish)

    def action_plan(self, argument: str = "") -> None:
        """The plan; a number is the context to try."""
        if argument and not argument.isdecimal():
            self._complain(f"/plan wants a context length, not {argument!r}.")
        elif self._is_idle():
            wish = self._settings.wish
            self._open_plan(replace(wish, ctx=int(argument)) if argument else wish)

    def action_panel(self, argument: str = "") -> None:
        """Show or hide the panel; on a narrow screen it takes the conversation's place."""
        self.toggle_class("-panel")

    @work(exclusive=True, group="turn")
    async def _again(self, count: int) -> None:
        if await self._fits(self._log.conversation.turns[:count]):
            await self._keep(count)
            await self._answer()

    def _last_question(self) -> int | None:
        turns = self._log.conversation.turns
        return next((index for index in reversed(range(len(turns))) if turns[index].role == "user"), None)

    def action_regenerate(self, argument: str = "") -> None:
        """Answer the last question again."""
        question = self._last_question()
        if question is not None and self._is_idle():
            self._again(question + 1)

    @work(exclusive=True, group="turn")
    async def _go_on(self) -> None:
        if not await self._fits(self._log.conversation.turns):
            return
        messages, sampling = self._log.conversation.messages, self._settings.sampling
        widget = self.query_one(ConversationView).turns[-1]
        if isinstance(widget, Answer) and messages and messages[-1].role == "assistant":
            await self._generate(widget, lambda session: session.generate(messages, sampling, continue_last=True))

    def action_go_on(self, argument: str = "") -> None:
        """Go on with the last answer."""
        turns = self._log.conversation.turns
        if turns and turns[-1].role == "assistant" and self._is_idle():
            self._go_on()

    def action_edit(self, argument: str = "") -> None:
        """Put the last question into the composer; sending it replaces the old one, Escape leaves all as it is."""
        question = self._last_question()
        if question is not None and self._is_idle():
            self._editing = question
            composer = self.query_one(Composer)
            composer.put(self._log.conversation.turns[question].text)
            composer.focus()
            self.query_one("#hint", Static).update("Editing the last question: Enter asks it anew, Esc leaves it.")

    def action_copy(self, argument: str = "") -> None:
        """Copy the last answer."""
        answers = [turn.text for turn in self._log.conversation.turns if turn.role == "assistant"]
        if answers:
            self.app.copy_to_clipboard(answers[-1])
            self.notify("The last answer is in the clipboard.")

    def action_think(self, argument: str = "") -> None:
        """Fold or unfold the thinking."""
        self.query_one(ConversationView).fold()

    @work(exclusive=True, group="turn")
    async def _open(self, log: Log) -> None:
        await self._begin(log)

    async def _begin(self, log: Log) -> None:
        """Go on with another conversation; the engine keeps running."""
        self._log, self._last, self._editing = log, None, None
        await self.query_one(ConversationView).show(log.conversation)
        self.query_one(Composer).remember([turn.text for turn in log.conversation.turns if turn.role == "user"])
        self._show_head()

    def action_clear(self, argument: str = "") -> None:
        """A new chat with the same system prompt."""
        if self._is_idle():
            self._open(self._shelf.new(self._label, self._log.conversation.system))

    def action_load(self, argument: str = "") -> None:
        """Choose an earlier conversation."""

        def go_on(log: Log | None) -> None:
            if log is not None:
                self._open(log)

        if self._is_idle():
            self.app.push_screen(Shelves(self._shelf), go_on)

    def action_system(self, argument: str = "") -> None:
        """Set the system prompt, remove it with `-`, or ask for it."""

        def take(prompt: str | None) -> None:
            if prompt is not None:
                with self._saving():
                    self._log.set_system("" if prompt.strip() == "-" else prompt.strip())
                self.notify("The system prompt is set." if self._log.conversation.system else "No system prompt.")

        if argument:
            take(argument)
        else:
            self.app.push_screen(Line("System prompt (- removes it)", self._log.conversation.system), take)

    def action_set(self, argument: str = "") -> None:
        """Show or change the sampling."""
        try:
            if argument:
                self._settings.sampling = actions.with_setting(self._settings.sampling, argument)
            self.query_one("#hint", Static).update(Content(actions.settings(self._settings.sampling)))
        except UsageError as error:
            self._complain(str(error))

    def action_save(self, argument: str = "") -> None:
        """Name the conversation."""

        def take(name: str | None) -> None:
            if name is not None:
                with self._saving():
                    self._log.rename(name.strip())
                self._show_head()

        if argument:
            take(argument)
        else:
            self.app.push_screen(Line("Name of the conversation", self._log.conversation.title), take)

    def action_export(self, argument: str = "") -> None:
        """Write the conversation as Markdown."""
        conversation = self._log.conversation
        try:
            path = write_new(conversation.title, to_markdown(conversation), argument)
            self.notify(f"Written to {path}", markup=False)
        except UsageError as error:
            self._complain(str(error))

    def action_stats(self, argument: str = "") -> None:
        """Planned against measured."""
        loaded = self._session.loaded if self._session else None
        memory = memory_table(self._candidate, loaded) if loaded else ["The engine is not running."]
        lines = [*memory, "", *speed_table(self._candidate, self._last)]
        if loaded:
            lines += [
                "",
                f"loaded in {text.seconds(loaded.load_s)}",
                f"template: {text.one_line(loaded.template)[:60]}",
            ]
        self.app.push_screen(Reading("Planned and measured", Content("\n".join(lines))))

    def action_model(self, argument: str = "") -> None:
        """Run another model."""
        if self._is_idle():
            self.dismiss(argument)

    def action_exit(self, argument: str = "") -> None:
        """End."""
        self.app.exit()


def _more_help(longer: int | None, trained: int) -> str:
    if longer is None:
        return f"The model was trained for {trained:,} tokens; that is not enough."
    return "Shows the new plan first; the engine restarts, the conversation stays."
