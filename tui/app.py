"""The application: from a name to a chat, and on to the next model."""

import time
from collections.abc import Callable, Iterable

from textual import work
from textual.app import App, SystemCommand
from textual.screen import Screen

from runner.storage.conversations import ConversationStore
from runner.types.plan import Wish
from runner.types.sampling import Sampling
from runner.types.service import Service
from tui.actions import ACTIONS
from tui.screens.chat import Chat
from tui.screens.picker import Picker
from tui.screens.start import Start
from tui.screens.turns import ChatSettings
from tui.theme import THEME


class LocalrunApp(App[None]):
    """The screens over a backend.

    `model` None: begin with the picker. `ask` False: download without a question. `clock` counts seconds for the
    speed curve, `today` seconds since 1970 for conversations; `tick` is the time between two measurements, None for
    none by itself; `linger` is how long the start screen shows planned against measured. Seconds.
    """

    TITLE = "localrun"
    CSS_PATH = "app.tcss"

    def __init__(  # noqa: PLR0913
        self,
        backend: Service,
        model: str | None,
        wish: Wish,
        sampling: Sampling,
        system: str | None,
        *,
        ask: bool = True,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], float] = time.time,
        tick: float | None = 0.5,
        linger: float = 0.8,
    ) -> None:
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
        self._backend, self._model, self._wish = backend, model, wish
        self._sampling, self._system, self._ask = sampling, system or "", ask
        self._clock, self._tick, self._linger = clock, tick, linger
        self._shelf = ConversationStore(backend.conversations, today)
        self.register_theme(THEME)
        self.theme = THEME.name

    def on_mount(self) -> None:
        """Begin."""
        self._conduct()

    @work
    async def _conduct(self) -> None:
        """Pick, start, chat; then the next model, or the end."""
        name: str | None = self._model or ""
        while name is not None:
            picked = not name
            name = name or await self.push_screen_wait(Picker(self._backend))
            if not name:
                break
            start = Start(self._backend, name, self._wish, ask=self._ask, linger=self._linger)
            session = await self.push_screen_wait(start)
            if session is None:
                if not picked and name == self._model:
                    break
                name = ""
                continue
            settings = ChatSettings(
                name, self._wish, self._sampling, self._system, self._clock, self._tick, self._linger
            )
            name = await self.push_screen_wait(Chat(self._backend, self._shelf, session, settings))
        self.exit()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Every action of the chat in the command palette."""
        if isinstance(screen, Chat):
            for action in ACTIONS:
                yield SystemCommand(action.title, action.help, getattr(screen, f"action_{action.name}"))
        yield from super().get_system_commands(screen)
