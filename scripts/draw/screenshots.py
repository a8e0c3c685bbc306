"""Draw every screen into a folder as SVG, for the README: `python -m scripts.draw.screenshots docs/images chat plan`.

The service is scripted, so that the pictures show hardware which need not be here; its numbers are
examples, not measurements.
"""

import argparse
import asyncio
import tempfile
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from textual.pilot import Pilot

from models.errors import EngineError
from models.weights import Progress
from runner.types.engine import LoadProgress
from scripts.draw.scripted import Clock, ScriptedService, turn
from tui.app import LocalrunApp
from tui.screens.chat import Chat
from tui.screens.plan import PlanScreen
from tui.settings import Clocks, Launch

ANSWER = """A **GGUF** file holds a model's weights and everything needed to run them:

- the *header*: architecture, tokenizer, chat template
- the *tensor table*: name, shape, type and place of every tensor
- the tensors themselves, usually quantized

```python
from gguf import GGUFReader

reader = GGUFReader("model.gguf")
print(len(reader.tensors), "tensors")
```

Only the first kilobytes have to be read to know what it needs."""
THOUGHT = "They ask about a file format. I should say what is in it and show how to look inside."
QUESTION = "What is a GGUF file?"


@dataclass
class Scene:
    """One picture: a model, a terminal size, and what is done before it is taken."""

    name: str
    model: str | None
    act: Callable[[Pilot[None], ScriptedService, Clock], Awaitable[None]]
    size: tuple[int, int] = (120, 40)
    ask: bool = False
    service: Callable[[Path], ScriptedService] = field(default=ScriptedService)


def words(text: str) -> list[str]:
    """A text in pieces as long as tokens."""
    return [text[place : place + 4] for place in range(0, len(text), 4)]


async def until(pilot: Pilot[None], happened: Callable[[], bool]) -> None:
    """Wait until something is so, for 20 seconds at most."""
    for _ in range(2000):
        if happened():
            await pilot.pause()
            return
        await pilot.pause(0.01)
    raise RuntimeError("the scene did not come to its end")


async def chatting(pilot: Pilot[None]) -> Chat:
    """The chat, once it is there."""
    await until(pilot, lambda: isinstance(pilot.app.screen, Chat))
    screen = pilot.app.screen
    assert isinstance(screen, Chat)
    return screen


def noted(chat: Chat, words: str) -> bool:
    """Whether the line below the answer begins with `words`."""
    return any(str(line.render()).startswith(words) for line in chat.query(".note"))


async def answering(pilot: Pilot[None], service: ScriptedService, clock: Clock, *, share: float = 1.0) -> None:
    """Ask, and let the answer come as far as `share`, with a tick for every few tokens."""
    chat = await chatting(pilot)
    session, gate = service.sessions[-1], threading.Semaphore(0)
    predicted = session.candidate.predicted
    tps = 0.97 * predicted.decode_tps if predicted else 10.0
    script = turn(words(ANSWER), prompt=412, tps=tps, reasoning=words(THOUGHT))
    session.gate, session.script = gate, [script]
    await pilot.press(*QUESTION, "enter")
    for step in range(int(len(script) * share)):
        gate.release()
        if step % 8 == 7:
            clock.seconds += 8 / (tps * (1 + 0.02 * ((step * 7) % 11 - 5)))
            shown = f"{script[step].completion_tokens} tokens"
            await until(pilot, partial(noted, chat, shown))
            chat.tick()
    await pilot.pause(0.15)
    chat.tick()
    await pilot.pause(0.1)


async def nothing(pilot: Pilot[None], service: ScriptedService, clock: Clock) -> None:
    """Only wait until all is drawn."""
    await pilot.pause(0.3)


async def answered(pilot: Pilot[None], service: ScriptedService, clock: Clock) -> None:
    """One whole answer."""
    await answering(pilot, service, clock)
    await pilot.pause(0.2)


async def streaming(pilot: Pilot[None], service: ScriptedService, clock: Clock) -> None:
    """An answer that is still coming."""
    await answering(pilot, service, clock, share=0.8)


async def welcome(pilot: Pilot[None], service: ScriptedService, clock: Clock) -> None:
    """A chat before the first question."""
    await chatting(pilot)
    await pilot.pause(0.2)


async def planning(pilot: Pilot[None], service: ScriptedService, clock: Clock) -> None:
    """The plan, with a longer context to look at."""
    await answering(pilot, service, clock)
    chat = await chatting(pilot)
    await until(pilot, lambda: any("complete" in str(line.render()) for line in chat.query(".note")))
    await pilot.press("f2")
    await until(pilot, lambda: isinstance(pilot.app.screen, PlanScreen) and bool(pilot.app.screen.children))
    await pilot.press("right")
    await pilot.pause(0.5)


async def keeping(pilot: Pilot[None], service: ScriptedService, clock: Clock) -> None:
    """The conversations that are kept."""
    await answering(pilot, service, clock)
    chat = await chatting(pilot)
    await until(pilot, lambda: any("complete" in str(line.render()) for line in chat.query(".note")))
    await pilot.press("f3")
    await until(pilot, lambda: not isinstance(pilot.app.screen, Chat) and bool(pilot.app.screen.children))
    await pilot.pause(0.5)


async def helping(pilot: Pilot[None], service: ScriptedService, clock: Clock) -> None:
    """The help."""
    await chatting(pilot)
    await pilot.press("f1")
    await pilot.pause(0.2)


async def full(pilot: Pilot[None], service: ScriptedService, clock: Clock) -> None:
    """A message that would not fit the context."""
    await answering(pilot, service, clock)
    chat = await chatting(pilot)
    chat.query_one("#composer").put("word " * 6600)  # type: ignore[attr-defined]
    await pilot.press("enter")
    await pilot.pause(0.3)


async def failed(pilot: Pilot[None], service: ScriptedService, clock: Clock) -> None:
    """An engine that died."""
    await chatting(pilot)
    service.sessions[-1].script = [EngineError("The engine ended unexpectedly (signal 9, out of memory?).")]
    await pilot.press(*QUESTION, "enter")
    await pilot.pause(0.3)


async def panel(pilot: Pilot[None], service: ScriptedService, clock: Clock) -> None:
    """The panel in the conversation's place."""
    await answering(pilot, service, clock)
    await pilot.press("f4")
    await pilot.pause(0.2)


def coming(folder: Path) -> ScriptedService:
    """A download that is half done."""
    rows = [(16_000_000_000, 16_000_000_000, None), (9_300_000_000, 16_000_000_000, 58e6), (0, 10_520_000_000, None)]
    shards = [
        Progress(f"Llama-3.3-70B-Instruct-Q4_K_M-0000{n}-of-00003.gguf", done, total, rate)
        for n, (done, total, rate) in enumerate(rows, 1)
    ]
    return ScriptedService(folder, downloads=[*shards], hold_download=threading.Event())


def loading(folder: Path) -> ScriptedService:
    """A load that is half done."""
    return ScriptedService(folder, loads=[LoadProgress(0.62)], hold_load=threading.Event())


SCENES = (
    Scene("picker", None, nothing),
    Scene("start", "llama-3.3-70b", nothing, ask=True),
    Scene("download", "llama-3.3-70b", nothing, service=coming),
    Scene("load", "mixtral-8x22b", nothing, service=loading),
    Scene("welcome", "llama-3.3-70b", welcome),
    Scene("chat", "llama-3.3-70b", streaming),
    Scene("experts", "mixtral-8x22b", answered),
    Scene("laptop", "smollm2-135m", answered),
    Scene("plan", "llama-3.3-70b", planning),
    Scene("conversations", "llama-3.3-70b", keeping),
    Scene("full", "smollm2-135m", full),
    Scene("failed", "smollm2-135m", failed),
    Scene("help", "smollm2-135m", helping),
    Scene("small-start", "llama-3.3-70b", nothing, (80, 24), ask=True),
    Scene("small-chat", "llama-3.3-70b", streaming, (80, 24)),
    Scene("small-panel", "llama-3.3-70b", panel, (80, 24)),
    Scene("small-plan", "llama-3.3-70b", planning, (80, 24)),
    Scene("small-full", "smollm2-135m", full, (80, 24)),
    Scene("small-help", "smollm2-135m", helping, (80, 24)),
    Scene("small-picker", None, nothing, (80, 24)),
)


async def draw(scene: Scene, target: Path) -> None:
    """Play one scene and keep its last picture."""
    with tempfile.TemporaryDirectory() as folder:
        service, clock = scene.service(Path(folder)), Clock()
        app = LocalrunApp(service, Launch(scene.model, ask=scene.ask), Clocks(clock, tick=None, result=0.0))
        async with app.run_test(size=scene.size) as pilot:
            await scene.act(pilot, service, clock)
            # Renderers outside the browser need to be told that spaces count.
            svg = app.export_screenshot().replace("<text ", '<text xml:space="preserve" ')
            (target / f"{scene.name}.svg").write_text(svg, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the screens as SVG.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=", ".join(scene.name for scene in SCENES))
    wanted = parser.parse_args()
    wanted.folder.mkdir(parents=True, exist_ok=True)
    for scene in SCENES:
        if not wanted.scenes or scene.name in wanted.scenes:
            asyncio.run(draw(scene, wanted.folder))


if __name__ == "__main__":
    main()
