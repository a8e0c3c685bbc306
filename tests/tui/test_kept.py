"""The screen over an engine that another process keeps: taken as it is, left as it was."""

from pathlib import Path

from models.errors import EngineError
from runner.types.wish import Wish
from tests.support.screens import running, scripted
from tui.screens.chat import Chat
from tui.screens.plan import PlanScreen

WISH = Wish(threads=3)


async def test_what_is_warm_answers_without_a_plan_and_is_let_go_in_the_end(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    service.warm_for[WISH] = 600.0
    async with running(service, wish=WISH) as app:
        await app.until_screen(Chat)
        assert service.wishes == [], "it was planned"
        await app.say("Hello?")
        await app.until_words("Yes.")
        await app.say("/plan")
        await app.until_screen(PlanScreen)
        assert service.wishes == [WISH], "what is planned elsewhere cannot be loaded here"
        await app.pilot.press("escape")
        await app.until_screen(Chat)
        assert not app.session.closed
    assert service.sessions[-1].closed


async def test_the_engine_is_left_warm(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    async with running(service, wish=WISH, keep=90.0) as app:
        await app.until_screen(Chat)
        assert service.warm_for == {WISH: 90.0}
        await app.say("/model smollm2-135m")
        await app.until(lambda: len(service.sessions) == 2)
        await app.until_screen(Chat)
        first, second = service.sessions
        assert first.closed and second.is_kept and service.wishes == [WISH]


async def test_one_that_was_ended_is_looked_for_and_then_loaded(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    service.warm_for[WISH] = 600.0
    service.script = [EngineError("The warm engine was ended.")]
    async with running(service, wish=WISH) as app:
        await app.until_screen(Chat)
        service.warm_for.clear()
        await app.say("Hello?")
        await app.until_words("The warm engine was ended.")
        await app.say("Still there?")
        await app.until_words("Yes.")
        assert service.wishes == [WISH] and not app.session.is_kept
