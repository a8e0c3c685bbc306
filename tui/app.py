"""The application: from a name to a chat, and on to the next model."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from textual import work
from textual.app import App, SystemCommand
from textual.filter import LineFilter
from textual.screen import Screen

from runner.report.words import visible
from runner.storage.conversations import ConversationStore
from runner.types.service import Service
from tui.actions import ACTIONS
from tui.screens.chat import Chat
from tui.screens.picker import Picker
from tui.screens.start import Start, Wanted
from tui.settings import ChatSettings, Clocks, Launch
from tui.terminal import StoppableDriver, on_end
from tui.theme import THEME, Colourless

_NOTE_S = 15.0


class LocalrunApp(App[None]):
    """The screens over a service."""

    TITLE = "localrun"
    CSS_PATH = "app.tcss"

    def __init__(self, service: Service, launch: Launch, clocks: Clocks | None = None) -> None:
        super().__init__(driver_class=StoppableDriver)
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
        self._service, self._launch, self._clocks = service, launch, clocks or Clocks()
        self._conversations = ConversationStore(service.conversations, self._clocks.today)
        self._colourless = Colourless()
        self.register_theme(THEME)
        self.theme = THEME.name

    def on_mount(self) -> None:
        """Begin, and end in order where the system asks for it: the terminal is left as it was found."""
        loop = asyncio.get_running_loop()
        on_end(lambda number: loop.call_soon_threadsafe(partial(self.exit, return_code=128 + number)))
        for note in self._launch.notes:
            self.notify(visible(note), timeout=_NOTE_S, markup=False)
        self._conduct()

    @work
    async def _conduct(self) -> None:
        """Pick, start, chat; then the next model, or the end."""
        launch = self._launch
        name: str | None = launch.model or ""
        while True:
            picked = not name
            name = name or await self.push_screen_wait(Picker(self._service))
            if not name:
                break
            wanted = Wanted(name, launch.wish, ask=launch.ask, keep=launch.keep)
            session = await self.push_screen_wait(Start(self._service, wanted, self._clocks.result))
            if session is None:
                if not picked and name == launch.model:
                    break
                name = ""
                continue
            settings = ChatSettings(
                name,
                launch.sampling,
                launch.system,
                self._clocks,
                launch.conversation,
                launch.title,
                launch.files,
                launch.notice,
                launch.keep,
            )
            chosen = await self.push_screen_wait(Chat(self._service, self._conversations, session, settings))
            if chosen is None:
                break
            name = chosen.model
            system = launch.system if chosen.conversation is None else ""  # the conversation has its own
            launch = replace(
                launch,
                sampling=chosen.sampling,
                conversation=chosen.conversation,
                title="",
                system=system,
                files=(),
            )
        self.exit()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Where no colour is wanted, none is left; Textual alone would leave greys, which are colours to a terminal."""
        filters = super().get_line_filters()
        return [*filters, self._colourless] if self.no_color else filters

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Every action of the chat in the command palette, and those of Textual's that it does not name itself."""
        actions = ACTIONS if isinstance(screen, Chat) else ()
        for action in actions:
            yield SystemCommand(action.title, action.help, getattr(screen, f"action_{action.name}"))
        named = {action.title for action in actions}
        yield from (command for command in super().get_system_commands(screen) if command.title not in named)
