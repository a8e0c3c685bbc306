"""The chat: the conversation, and beside it where the model lives and how fast it is."""

from dataclasses import replace
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Footer, Static, TextArea

from models.errors import LocalrunError, UsageError
from runner.storage.conversations import ConversationStore, Log, to_markdown
from runner.storage.export import write_new
from runner.types.service import Service, Session
from tui import actions
from tui.screens.conversations import ConversationList
from tui.screens.dialogs import Line, Reading
from tui.screens.help import help_text
from tui.screens.turns import ChatSettings, ConversationScreen
from tui.view import text
from tui.view.compare import memory_table, speed_table, welcome
from tui.view.meters import Meter, live
from tui.view.speed_history import SpeedHistory
from tui.widgets.candidates import WHERE
from tui.widgets.composer import Composer
from tui.widgets.conversation import ConversationView
from tui.widgets.drawing import spread, styled
from tui.widgets.panel import Panel, Strip
from tui.workers import aside

_FOOTER = {"help", "plan", "load", "panel", "clear"}


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


class Chat(ConversationScreen):
    """Returns the name of another model to run (empty: let me pick), or None to end."""

    CSS_PATH = "chat.tcss"
    BINDINGS: ClassVar[list[BindingType]] = _bindings()

    def __init__(self, backend: Service, shelf: ConversationStore, session: Session, settings: ChatSettings) -> None:
        super().__init__(backend, shelf, session, settings)
        self._pace = SpeedHistory()
        self._meters: tuple[Meter, ...] = ()

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
        self.show_session()
        self.show_title()
        if self._settings.tick is not None:
            self.set_interval(self._settings.tick, self.tick)

    def show_session(self) -> None:
        """The panel is another's."""
        if (session := self._session) is None:
            return
        self._pace = SpeedHistory()
        self.query_one(Panel).show_model(session.candidate, session.placement, session.plan.model, session.loaded)
        self.tick()

    def show_title(self) -> None:
        """The head line, and a welcome where nobody said anything."""
        candidate, placement = self._candidate, self._candidate.placement
        ctx = self._session.loaded.ctx if self._session else 0
        facts = [text.one_line(candidate.quant), WHERE[candidate.verdict], f"{text.context(ctx)} context"]
        facts += [f"KV {placement.kv_type}"] if placement else []
        model = text.one_line(self._plan.model.name)
        left = styled(("localrun  ", "bold $accent"), (model, "bold"), ("  " + " · ".join(facts), "$quiet"))
        title = styled((text.visible(self._log.conversation.title), "italic"))
        self.query_one("#head", Static).update(spread(left, title, max(10, self.app.size.width - 2)))
        if self._session is not None and not self._log.conversation.turns:
            words = welcome(self._plan, candidate, self._session.loaded)
            self.query_one(ConversationView).welcome(words)

    def on_resize(self) -> None:
        """The head spans the width."""
        self.show_title()

    # Twice a second

    def tick(self) -> None:
        """Measure the machine, and the speed since the last tick."""
        self._pace.count(self._settings.clock(), self._last if self._answering is not None else None)
        self._show_speed()
        if not any(worker.group == "sample" and worker.is_running for worker in self.workers):
            self._sample()

    def _show_speed(self) -> None:
        ctx = self._session.loaded.ctx if self._session else 0
        speed = self._pace.speed(self._last, ctx, self._candidate.predicted)
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
            self._meters = live(session.candidate, session.plan.machine, session.loaded, sample, used)
            self.query_one(Panel).show_memory(self._meters, session.placement)
            self._show_speed()

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
            self.complain(str(error))
            return
        if found is not None:
            action, argument = found
            getattr(self, f"action_{action.name}")(argument)
        elif self.is_idle():
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
        else:
            self.query_one(ConversationView).focus()

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

    def action_plan(self, argument: str = "") -> None:
        """The plan; a number is the context to try."""
        if argument and not argument.isdecimal():
            self.complain(f"/plan wants a context length, not {argument!r}.")
        elif self.is_idle():
            wish = self._settings.wish
            self._open_plan(replace(wish, ctx=int(argument)) if argument else wish)

    def action_panel(self, argument: str = "") -> None:
        """Show or hide the panel; on a narrow screen it takes the conversation's place."""
        self.toggle_class("-panel")

    def action_regenerate(self, argument: str = "") -> None:
        """Answer the last question again."""
        question = self._last_question()
        if question is not None and self.is_idle():
            self._again(question + 1)

    def action_go_on(self, argument: str = "") -> None:
        """Go on with the last answer."""
        turns = self._log.conversation.turns
        if turns and turns[-1].role == "assistant" and self.is_idle():
            self._go_on()

    def action_edit(self, argument: str = "") -> None:
        """Put the last question into the composer; sending it replaces the old one, Escape leaves all as it is."""
        question = self._last_question()
        if question is not None and self.is_idle():
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

    def action_clear(self, argument: str = "") -> None:
        """A new chat with the same system prompt."""
        if self.is_idle():
            self._open(self._shelf.new(self._label, self._log.conversation.system))

    def action_load(self, argument: str = "") -> None:
        """Choose an earlier conversation."""

        def go_on(log: Log | None) -> None:
            if log is not None:
                self._open(log)

        if self.is_idle():
            self.app.push_screen(ConversationList(self._shelf), go_on)

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
            self.complain(str(error))

    def action_save(self, argument: str = "") -> None:
        """Name the conversation."""

        def take(name: str | None) -> None:
            if name is not None:
                with self._saving():
                    self._log.rename(name.strip())
                self.show_title()

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
            self.complain(str(error))

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
        if self.is_idle():
            self.dismiss(argument)

    def action_exit(self, argument: str = "") -> None:
        """End."""
        self.app.exit()
