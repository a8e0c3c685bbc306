"""A few pictures: they change only on purpose (`pytest --snapshot-update`, then look at them)."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from models.errors import EngineError
from models.weights import Progress
from scripts.draw.scripted import Clock, turn
from tests.support.screens import RunningApp, scripted, still
from tui.app import LocalrunApp
from tui.screens.chat import Chat
from tui.screens.dialogs import Ask
from tui.settings import Launch
from tui.widgets.composer import Composer

Compare = Callable[..., bool]
Act = Callable[[RunningApp], Any]
WIDE, SMALL = (120, 40), (80, 24)
ANSWER = "A **GGUF** file:\n\n- a *header*\n- the tensors\n\n```python\nprint(len(reader.tensors))\n```\n\nThat is all."


async def chat(app: RunningApp) -> None:
    """One answered question, with a speed curve of two ticks."""
    await app.until_screen(Chat)
    screen = app.screen
    assert isinstance(screen, Chat)
    gate = app.service.gate = app.session.gate = threading.Semaphore(3)
    tokens = [ANSWER[place : place + 4] for place in range(0, len(ANSWER), 4)]
    app.session.script = [turn(tokens, prompt=412, tps=17.0, reasoning=["I know."])]
    await app.say("What is a GGUF file?")
    await app.until_words("1 token ")
    for rate, count in ((16.0, 9), (18.0, 17)):
        screen.tick()
        gate.release(8)
        await app.until_words(f"{count} tokens ")
        app.clock.seconds += 8 / rate
        screen.tick()
    gate.release(1000)
    await app.until_words("complete")
    screen.tick()
    await app.until(lambda: not any(worker.group == "sample" and worker.is_running for worker in screen.workers))
    screen.query_one(Composer).cursor_blink = False


async def full(app: RunningApp) -> None:
    await chat(app)
    await app.say("word " * 6330)
    await app.until_screen(Ask)


async def failed(app: RunningApp) -> None:
    await app.until_screen(Chat)
    app.screen.query_one(Composer).cursor_blink = False
    app.session.script = [EngineError("The engine ended unexpectedly (signal 9).")]
    await app.say("Hi")
    await app.until_words("Nothing said is")
    await app.until_words("weights")


async def asked(app: RunningApp) -> None:
    await app.until_words("Enter goes on.")


async def planned(app: RunningApp) -> None:
    await app.until_screen(Chat)
    await app.pilot.press("f2", "right")
    await app.until_words("16k context in f16")


async def coming(app: RunningApp) -> None:
    await app.until_words("58 MB/s")


async def unknown(app: RunningApp) -> None:
    await app.until_words("There is no model")


SCENES: list[tuple[str, str, tuple[int, int], Act, dict[str, Any]]] = [
    ("chat-wide", "llama-3.3-70b", WIDE, chat, {}),
    ("chat-small", "smollm2-135m", SMALL, chat, {}),
    ("chat-experts-no-colour", "mixtral-8x22b", WIDE, chat, {"no_colour": True}),
    ("context-full", "smollm2-135m", SMALL, full, {}),
    ("engine-failed", "smollm2-135m", WIDE, failed, {}),
    ("download-asked", "llama-3.3-70b", WIDE, asked, {"ask": True}),
    ("download-small", "llama-3.3-70b", SMALL, coming, {"hold": True}),
    ("plan", "llama-3.3-70b", WIDE, planned, {}),
    ("chat-companion", "llama-3.3-70b-helped", WIDE, chat, {"no_colour": True}),
    ("unknown-model", "no-such-model", SMALL, unknown, {}),
]


@pytest.mark.parametrize(("name", "model", "size", "act", "how"), SCENES, ids=[scene[0] for scene in SCENES])
def test_picture(
    name: str,
    model: str,
    size: tuple[int, int],
    act: Act,
    how: dict[str, Any],
    tmp_path: Path,
    snap_compare: Compare,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if how.get("no_colour"):
        monkeypatch.setenv("NO_COLOR", "1")
    service, clock = scripted(tmp_path), Clock()
    if how.get("hold"):
        service.downloads = [Progress("model-00001-of-00002.gguf", 9_300_000_000, 16_000_000_000, 58e6)]
        service.hold_download = threading.Event()
    app = LocalrunApp(service, Launch(model, ask=how.get("ask", False)), still(clock))

    async def run_before(pilot: Pilot[None]) -> None:
        await act(RunningApp(pilot, service, clock))
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=run_before)
