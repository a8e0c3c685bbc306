"""What every screen test needs: the application over a scripted service, and a way to wait without sleeping on it."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

from rich.cells import cell_len
from textual.errors import NoWidget
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Static

from runner.storage.conversations import ConversationStore
from scripts.draw.scripted import Clock, ScriptedService, ScriptedSession, turn
from tests.support.waiting import PATIENCE_S
from tui.app import LocalrunApp
from tui.settings import Clocks, Launch
from tui.widgets.composer import Composer

DAY = 1_763_726_400.0


def _cells(text: str) -> Iterator[str]:
    """A character for each cell; a wide one is followed by an empty cell."""
    for character in text:
        yield from (character, *[""] * (cell_len(character) - 1))


@dataclass
class RunningApp:
    """The application over a scripted service, and what a test does with it."""

    pilot: Pilot[None]
    service: ScriptedService
    clock: Clock = field(default_factory=Clock)
    told: Mock = field(default_factory=Mock)  # the application's `notify`

    @property
    def screen(self) -> Screen[Any]:
        return self.pilot.app.screen

    @property
    def session(self) -> ScriptedSession:
        return self.service.sessions[-1]

    @property
    def composer(self) -> Composer:
        return self.screen.query_one(Composer)

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until something is so; in the end fail with what the screen shows."""
        end = time.monotonic() + PATIENCE_S
        while not happened():
            assert time.monotonic() < end, f"never happened: {self.words()[-2000:]}"
            await self.pilot.pause(0.01)

    async def until_screen(self, kind: type[Screen[Any]]) -> None:
        await self.until(lambda: isinstance(self.screen, kind) and bool(self.screen.children))
        await self.pilot.pause()

    async def until_words(self, words: str) -> None:
        await self.until(lambda: words in self.words())

    async def until_told(self, words: str) -> None:
        """Wait for a notification."""
        await self.until(lambda: any(words in call.args[0] for call in self.told.call_args_list))

    def words(self) -> str:
        """All that the screen shows, line by line."""
        rows = [[" "] * self.screen.size.width for _ in range(self.screen.size.height)]
        for widget in self.screen.query("*"):
            with suppress(NoWidget):  # it is not displayed
                place = self.screen.find_widget(widget)
                seen = place.visible_region
                for y, strip in enumerate(widget.render_lines(seen.translate(-place.region.offset)), seen.y):
                    rows[y][seen.x : seen.right] = [cell for segment in strip for cell in _cells(segment.text)]
        return "\n".join("".join(row).rstrip() for row in rows)

    def shown(self, selector: str) -> str:
        return "\n".join(str(widget.render()) for widget in self.screen.query(selector).results(Static))

    async def begin_anew(self) -> None:
        """Another conversation, with nothing said in it."""
        await self.pilot.press("ctrl+n")
        await self.until_words("is ready after")

    async def say(self, text: str) -> None:
        self.composer.put(text)
        await self.pilot.press("enter")


@asynccontextmanager
async def running(
    service: ScriptedService, model: str | None = "smollm2-135m", *, size: tuple[int, int] = (120, 40), **asked: Any
) -> AsyncIterator[RunningApp]:
    """Run the application, asked for what a `Launch` holds; nothing ticks by itself, and nothing waits to be seen."""
    clock = Clock()
    app = LocalrunApp(service, Launch(model, **asked), still(clock))
    with patch.object(app, "notify", wraps=app.notify) as told:
        async with app.run_test(size=size) as pilot:
            yield RunningApp(pilot, service, clock, told)


def still(clock: Clock) -> Clocks:
    """The same day for ever, and only `clock` goes on."""
    return Clocks(clock, lambda: DAY, tick=None, result=0.0)


def scripted(folder: Path) -> ScriptedService:
    """The usual service."""
    return ScriptedService(folder / "conversations")


def kept(service: ScriptedService) -> list[tuple[str, str]]:
    """What the newest file says."""
    logs = ConversationStore(service.folder).all()
    return [(turn.role, turn.text) for turn in logs[0].conversation.turns] if logs else []


async def answered(app: RunningApp, question: str, words: list[str], **more: object) -> None:
    """Ask, and wait for the end of an answer of these pieces."""
    app.session.script = [turn(words, **more)]  # type: ignore[arg-type]
    count = len(app.session.asked)
    await app.say(question)
    await app.until(lambda: len(app.session.asked) > count)
    await app.until(lambda: app.shown(".note").endswith("complete"))
    await app.pilot.pause()
