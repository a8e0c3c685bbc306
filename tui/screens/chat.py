"""The chat: the conversation, and beside it where the model lives and how fast it is."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Footer, Static, TextArea

from models.errors import LocalrunError, UsageError
from runner.report.files import weighed
from runner.report.placement import PLACES, cache
from runner.report.words import one_line, visible
from runner.storage.conversations import ConversationStore
from runner.types.attachment import with_files
from runner.types.service import Service, Session
from tui import actions
from tui.files import files_of, is_file, paths_like
from tui.screens.chat_actions import ChatActions
from tui.settings import ChatSettings
from tui.view.mentions import begun, looks_like_path, mention, mentions
from tui.view.meters import Meter, live
from tui.view.speed_history import SpeedHistory
from tui.widgets.composer import Composer
from tui.widgets.conversation import ConversationView
from tui.widgets.drawing import spread, styled
from tui.widgets.memory import MemoryBars
from tui.widgets.panel import Panel, Strip
from tui.widgets.placement import layers_per_device
from tui.widgets.speed import SpeedPanel
from tui.widgets.welcome import welcome
from tui.workers import aside

_FOOTER = {"help", "plan", "load", "panel", "clear"}


def _bindings() -> Iterator[BindingType]:
    for action in actions.ACTIONS:
        if action.key:
            yield Binding(action.key, action.name, action.title, show=action.name in _FOOTER, priority=True)
        if action.letter:
            yield Binding(action.letter, action.name, show=False)
    yield Binding("escape", "stop", "Stop", show=False)
    yield Binding("i,enter", "write", "Write", show=False)


class Chat(ChatActions):
    """Returns which model to run next, or None to end."""

    CSS_PATH = "chat.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*_bindings()]

    def __init__(self, service: Service, store: ConversationStore, session: Session, settings: ChatSettings) -> None:
        super().__init__(service, store, session, settings)
        self._speed_history = SpeedHistory()
        self._meters: tuple[Meter, ...] = ()

    # What is on the screen

    def compose(self) -> ComposeResult:
        """Head, conversation beside panel, composer, footer."""
        yield Static(id="head")
        yield Strip(id="strip")
        with Horizontal(id="body"):
            with Vertical(id="main"):
                yield ConversationView(id="conversation")
                yield Static(id="hint")
                yield Composer(id="composer")
            yield Panel(id="panel")
        yield Footer()

    def on_mount(self) -> None:
        """Show the model, and begin to measure."""
        self.query_one(Composer).focus()
        self.show_session()
        if self._settings.conversation is not None:
            self._take_up(self._settings.conversation)
        if self._settings.files:
            self.query_one(Composer).put("".join(f"{mention(str(path))} " for path in self._settings.files))
        if self._settings.clocks.tick is not None:
            self.set_interval(self._settings.clocks.tick, self.tick)

    def show_session(self) -> None:
        """The panel and the head are another's."""
        super().show_session()
        if (session := self._session) is None:
            return
        self._speed_history = SpeedHistory()
        self.query_one(Panel).show_model(session.candidate, session.placement, session.plan.model, session.loaded)
        self.tick()
        self.show_title()

    def show_title(self) -> None:
        """The head line, and a welcome where nobody said anything."""
        candidate, session = self._candidate, self._session
        placement = replace(session.placement, ctx=session.loaded.ctx) if session else candidate.placement
        facts = [one_line(candidate.quant), PLACES[candidate.verdict], *([cache(placement)] if placement else [])]
        model = one_line(self._plan.model.name)
        left = styled(("localrun  ", "bold $accent"), (model, "bold"), ("  " + " · ".join(facts), "$quiet"))
        title = styled((visible(self._log.conversation.title), "italic"))
        self.query_one("#head", Static).update(spread(left, title, max(10, self.app.size.width - 2)))
        if session is not None and not self._log.conversation.turns:
            self.query_one(ConversationView).welcome(welcome(session))

    def on_resize(self) -> None:
        """The head spans the width."""
        self.show_title()

    # Twice a second

    def tick(self) -> None:
        """Measure the machine, and the speed since the last tick."""
        self._speed_history.count(self._settings.clocks.now(), self._last if self._answering is not None else None)
        self._show_speed()
        if not any(worker.group == "sample" and worker.is_running for worker in self.workers):
            self._sample()

    def _show_speed(self) -> None:
        placement = self._candidate.placement
        ctx = self._session.loaded.ctx if self._session else placement.ctx if placement else 0
        slowness = self._session.slowness if self._session else None
        speed = replace(self._speed_history.speed(self._last, ctx, self._candidate.predicted), slowness=slowness)
        self.query_one(SpeedPanel).show(speed)
        self.query_one(Strip).show(self._meters, speed)

    @work(group="sample")
    async def _sample(self) -> None:
        session = self._session
        if session is None:  # what was held is held no more
            self._meters = ()
            self.query_one(MemoryBars).show((), {})
            return
        try:
            sample = await aside(session.sample)
        except LocalrunError:
            return
        if session is self._session:
            used = self._last.context_used if self._last else 0
            self._meters = live(session.candidate, session.plan.machine, session.loaded, sample, used)
            self.query_one(MemoryBars).show(self._meters, layers_per_device(session.placement))
            self._show_speed()

    # Writing

    @on(TextArea.Changed, "#composer")
    def _complete(self, event: TextArea.Changed) -> None:
        """List the commands that a slash may become, the files of an @; else what is edited, or what the files take."""
        text = event.text_area.text
        path = begun(event.text_area.get_text_range((0, 0), event.text_area.cursor_location))
        likely = paths_like(path) if path is not None and not is_file(path) else []
        self._weigh(() if likely or text.startswith("/") else tuple(mentions(text)))
        if found := actions.completions(text):
            hint, best = "  ".join(f"/{action.slash}" for action in found), f"   Tab: {found[0].help}"
        elif likely:
            hint, best = "  ".join(map(visible, likely)), "   Tab completes"
        else:
            hint, best = "", self._editing_words
        self.query_one("#hint", Static).update(styled((hint, "$accent"), (best, "$quiet")))

    @work(exclusive=True, group="weigh")
    async def _weigh(self, paths: tuple[str, ...]) -> None:
        """Say how many tokens the files named take, and whether they fit; or which of them is none."""
        session = self._session
        missing = [path for path in paths if looks_like_path(path) and not is_file(path)]
        if missing:
            words = f"There is no file {one_line(missing[0], 60)}: only these words are sent."
            self.query_one("#hint", Static).update(Content(words))
            return
        try:
            files = files_of(paths)
            if files and session is not None:
                words = await aside(partial(weighed, session, self._log.conversation, files))
                self.query_one("#hint", Static).update(Content(words))
        except LocalrunError as error:
            self.query_one("#hint", Static).update(Content(visible(str(error))))

    @on(Composer.Sent)
    def _sent(self, event: Composer.Sent) -> None:
        """A command or a message; what cannot be taken now goes back into the composer."""
        try:
            found = actions.command(event.text)
            message = "" if found else self._message(event)
        except UsageError as error:
            self.query_one(Composer).put(event.text)
            self.complain(str(error))
            return
        if found is not None:
            action, argument = found
            getattr(self, f"action_{action.name}")(argument)
        elif self.is_idle() and self._is_correcting:
            self._correct(message)
        elif self.is_idle():
            self._say(message, event.text)
        else:
            self.query_one(Composer).put(event.text)

    def _message(self, sent: Composer.Sent) -> str:
        """What was written, with the files that it names; another's words in the place of an answer name none."""
        said = sent.whole.removeprefix("/") if sent.text.startswith("//") else sent.whole
        return said if self._is_correcting else with_files(said, files_of(mentions(sent.text)))

    @on(Composer.Left)
    def _left(self) -> None:
        if self._answering is not None:
            self.action_stop()
        elif self._editing is not None:
            self._editing = None
            self.query_one(Composer).put("")
        else:
            self.query_one(ConversationView).focus()
