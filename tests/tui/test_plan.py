"""The plan screen: look, change, apply; the conversation stays."""

from pathlib import Path

import pytest

from models.errors import EngineError
from runner.types.plan import Plan, Wish
from scripts.draw.scripted import large_plan
from tests.support.stage import backend, stage
from tui.screens.chat import Chat
from tui.screens.plan import PlanScreen, context_lengths


async def test_the_effect_is_seen_before_it_is_applied(tmp_path: Path) -> None:
    async with stage(backend(tmp_path), "llama-3.3-70b", ask=False) as play:
        await play.until_screen(Chat)
        await play.say("Hi")
        await play.until_words("complete")
        await play.pilot.press("f2")
        await play.until_screen(PlanScreen)
        assert "now   Q4_K_M · GPU · 8k context in f16 · 17.3 tok/s · 43.9 GiB" in play.words()
        await play.pilot.press("right")
        await play.until_words("then  Q4_K_M · GPU · 16k context in f16 · 17.3 tok/s · 46.4 GiB")
        await play.pilot.press("k", "k")
        await play.until_words("16k context in q8_0")
        assert play.backend.wishes[-1] == Wish(ctx=16_384, kv_type="q8_0")
        assert len(play.backend.sessions) == 1
        await play.pilot.press("enter")
        await play.until_words("Enter goes on.")
        await play.pilot.press("enter")
        await play.until(lambda: len(play.backend.sessions) == 2)
        await play.until_screen(Chat)
        assert play.session.placement.ctx == 16_384
        assert play.backend.sessions[0].closed
        assert "16k context · KV q8_0" in play.shown("#head")
        assert "Hi" in play.words()
        await play.say("And now?")
        await play.until(lambda: bool(play.session.asked))
        assert [message.content for message in play.session.asked[0][0]] == ["Hi", "Yes.", "And now?"]


async def test_leaving_changes_nothing(tmp_path: Path) -> None:
    async with stage(backend(tmp_path), "llama-3.3-70b", ask=False) as play:
        await play.until_screen(Chat)
        await play.pilot.press("f2")
        await play.until_screen(PlanScreen)
        await play.pilot.press("left", "escape")
        await play.until_screen(Chat)
        assert len(play.backend.sessions) == 1
        assert not play.session.closed


async def test_what_does_not_fit_is_not_applied(tmp_path: Path) -> None:
    async with stage(backend(tmp_path), "llama-3.3-70b", ask=False) as play:
        await play.until_screen(Chat)
        await play.pilot.press("f2")
        await play.until_screen(PlanScreen)
        await play.pilot.press("up", "up", "up", "enter")
        await play.until_words("This one does not fit. It needs 72.1 GiB")
        assert isinstance(play.screen, PlanScreen)


async def test_a_planner_that_fails_is_a_sentence(tmp_path: Path) -> None:
    fake = backend(tmp_path)

    def plan(wish: Wish) -> Plan:
        if wish.ctx:
            raise EngineError("The rehearsal failed.")
        return large_plan(wish)

    fake.plans["llama-3.3-70b"] = plan
    async with stage(fake, "llama-3.3-70b", ask=False) as play:
        await play.until_screen(Chat)
        await play.say("/plan 12000")
        await play.until_screen(PlanScreen)
        await play.until_words("The rehearsal failed.")
        await play.pilot.press("escape")
        await play.say("/plan much")
        await play.until_told("wants a context length")


@pytest.mark.parametrize(
    ("trained", "lengths"),
    [(8192, [2048, 4096, 8192]), (12_000, [2048, 4096, 8192, 12_000]), (512, [512])],
)
def test_context_lengths(trained: int, lengths: list[int]) -> None:
    assert context_lengths(trained) == lengths
