"""The plan screen: look, change, apply; the conversation stays."""

from pathlib import Path

import pytest

from models.errors import EngineError
from runner.types.plan import Plan
from runner.types.wish import Wish
from scripts.draw.plans import large_plan
from tests.support.screens import running, scripted
from tui.screens.chat import Chat
from tui.screens.plan import PlanScreen, context_lengths
from tui.screens.start import Start


async def test_the_effect_is_seen_before_it_is_applied(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), "llama-3.3-70b", ask=False) as app:
        await app.until_screen(Chat)
        await app.say("Hi")
        await app.until_words("complete")
        await app.pilot.press("f2")
        await app.until_screen(PlanScreen)
        assert "now   Q4_K_M · GPU · 8k context in f16 · about 17.3 tok/s · 43.9 GiB" in app.words()
        await app.pilot.press("right")
        await app.until_words("then  Q4_K_M · GPU · 16k context in f16 · about 17.3 tok/s · 46.4 GiB")
        await app.pilot.press("k", "k")
        await app.until_words("16k context in q8_0")
        assert app.service.wishes[-1] == Wish(ctx=16_384, kv_type="q8_0")
        assert len(app.service.sessions) == 1
        await app.pilot.press("enter")
        await app.until_words("Enter goes on.")
        await app.pilot.press("enter")
        await app.until(lambda: len(app.service.sessions) == 2)
        await app.until_screen(Chat)
        assert app.session.placement.ctx == 16_384
        assert app.service.sessions[0].closed
        assert "16k context in q8_0" in app.shown("#head")
        assert "Hi" in app.words()
        await app.say("And now?")
        await app.until(lambda: bool(app.session.asked))
        assert [message.content for message in app.session.asked[0][0]] == ["Hi", "Yes.", "And now?"]


async def test_leaving_changes_nothing(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), "llama-3.3-70b", ask=False) as app:
        await app.until_screen(Chat)
        await app.pilot.press("f2")
        await app.until_screen(PlanScreen)
        await app.pilot.press("left", "escape")
        await app.until_screen(Chat)
        assert len(app.service.sessions) == 1
        assert not app.session.closed


async def test_an_abandoned_look_does_not_decide_what_is_loaded_later(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), "llama-3.3-70b", ask=False) as app:
        await app.until_screen(Chat)
        await app.pilot.press("f2")
        await app.until_screen(PlanScreen)
        await app.pilot.press("right", "k", "k")
        await app.until_words("16k context in q8_0")
        await app.pilot.press("escape")
        await app.until_screen(Chat)
        app.session.script = [EngineError("The engine ended unexpectedly.")]
        await app.say("Hi")
        await app.until_words("Nothing said is lost")
        await app.pilot.press("ctrl+r")
        await app.until_screen(Start)
        await app.until_words("Enter goes on.")
        await app.pilot.press("enter")
        await app.until_screen(Chat)
        await app.until_words("complete")
        assert (app.session.placement.ctx, app.session.placement.kv_type) == (8192, "f16")
        await app.pilot.press("f2")
        await app.until_screen(PlanScreen)
        assert "‹ automatic ›" in app.shown("#head")


async def test_what_does_not_fit_is_not_applied(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), "llama-3.3-70b", ask=False) as app:
        await app.until_screen(Chat)
        await app.pilot.press("f2")
        await app.until_screen(PlanScreen)
        await app.pilot.press("up", "up", "up", "enter")
        await app.until_words("This one does not fit. It needs 72.1 GiB")
        assert isinstance(app.screen, PlanScreen)


async def test_a_planner_that_fails_is_a_sentence(tmp_path: Path) -> None:
    service = scripted(tmp_path)

    def plan(wish: Wish) -> Plan:
        if wish.ctx:
            raise EngineError("The rehearsal failed.")
        return large_plan(wish)

    service.plans["llama-3.3-70b"] = plan
    async with running(service, "llama-3.3-70b", ask=False) as app:
        await app.until_screen(Chat)
        await app.say("/plan 12000")
        await app.until_screen(PlanScreen)
        await app.until_words("The rehearsal failed.")
        await app.pilot.press("escape")
        await app.say("/plan much")
        await app.until_told("wants a context length")


@pytest.mark.parametrize(
    ("trained", "lengths"),
    [(8192, [2048, 4096, 8192]), (12_000, [2048, 4096, 8192, 12_000]), (512, [512])],
)
def test_context_lengths(trained: int, lengths: list[int]) -> None:
    assert context_lengths(trained) == lengths
