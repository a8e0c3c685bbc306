"""What goes wrong in a chat: what does not fit, an engine that dies, a disk that is full."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import DoesNotFit, EngineError, PromptTooLong, UsageError
from runner.storage.conversations import ConversationStore
from runner.types.generation import Chunk, Finish, Phase
from scripts.draw.scripted import turn
from tests.support.screens import RunningApp, answered, kept, running, scripted
from tui.screens.chat import Chat
from tui.screens.dialogs import Ask
from tui.screens.plan import PlanScreen

ENOUGH = "word " * 6000


async def test_what_would_not_fit_can_go_into_a_new_chat(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, ENOUGH, ["ok"])
        await app.say(ENOUGH)
        await app.until_screen(Ask)
        assert "the context holds 8,192" in app.shown("#text")
        assert "trained for 8,192 tokens" in app.words()
        await app.pilot.press("escape")
        await app.until_screen(Chat)
        assert app.composer.text == ENOUGH.strip("\n")
        await app.pilot.press("enter")
        await app.until_screen(Ask)
        await app.pilot.press("end", "enter")
        await app.until(lambda: len(app.session.asked) == 2)
        assert len(app.session.asked[-1][0]) == 1
        await app.until(lambda: len(ConversationStore(app.service.folder).all()) == 2)


async def test_the_oldest_turns_can_be_dropped(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), system="Be brief.") as app:
        await app.until_screen(Chat)
        await answered(app, ENOUGH, ["ok"])
        await answered(app, "short", ["fine"])
        await app.say("word " * 2000)
        await app.until_screen(Ask)
        assert "Drop the 2 oldest turns" in app.words()
        await app.pilot.press("home", "enter")
        await app.until(lambda: len(app.session.asked) == 3)
        assert [m.content[:5] for m in app.session.asked[-1][0]] == ["Be br", "short", "fine", "word "]
        assert "no longer sees the 2 turns above" in app.shown(".skipped")
        assert len(kept(app.service)) == 6


async def test_more_context_is_planned_and_loaded(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), "llama-3.3-70b", ask=False) as app:
        await app.until_screen(Chat)
        await app.say("word " * 7000)
        await app.until_screen(Ask)
        assert "More context: 16k" in app.words()
        await app.pilot.press("enter")
        await app.until_screen(PlanScreen)
        await app.until_words("16k context in f16")
        await app.pilot.press("enter")
        await app.until(lambda: len(app.service.sessions) == 2 or app.shown("#status").startswith("To download"))
        if len(app.service.sessions) == 1:
            await app.pilot.press("enter")
        await app.until(lambda: len(app.service.sessions) == 2 and bool(app.session.asked))
        assert app.session.placement.ctx == 16_384
        assert app.service.sessions[0].closed


async def test_a_dead_engine_is_told_and_started_anew(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        app.session.script = [EngineError("The engine ended (signal 9).")]
        await app.say("Hi")
        await app.until_words("The engine ended (signal 9).")
        assert app.service.sessions[0].closed
        await answered_anew(app)
        assert kept(app.service) == [("user", "Hi"), ("assistant", "Back.")]


async def test_an_answer_that_goes_on_with_less_says_so_and_the_screen_shows_what_runs(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        candidate = app.session.candidate
        smaller = replace(candidate, placement=replace(app.session.placement, ctx=2048, kv_type="q8_0"))
        app.session.plan = replace(app.session.plan, candidates=(smaller,))
        first, second, *rest = turn(["Once ", "more."])
        app.session.script = [[first, second, replace(second, happened="Out of memory while answering."), *rest]]
        await app.say("Hi")
        await app.until(lambda: app.shown(".note").endswith("complete"))
        await app.until_told("Out of memory while answering.")
        assert "2k context in q8_0" in app.shown("#head")
        assert kept(app.service) == [("user", "Hi"), ("assistant", "Once more.")]
        assert not app.session.closed


async def test_where_nothing_smaller_fits_the_words_so_far_stay_and_the_next_turn_loads(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        app.session.script = [DoesNotFit("4 placements ran out of memory.")]
        await app.say("Hi")
        await app.until_words("4 placements ran out of memory.")
        assert app.service.sessions[0].closed
        await answered_anew(app)


async def answered_anew(app: RunningApp) -> None:
    app.service.script.append(turn(["Back."]))
    await app.pilot.press("ctrl+r")
    await app.until(lambda: len(app.service.sessions) == 2)
    await app.until_words("Back.")


async def test_a_refused_turn_keeps_the_engine(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        app.session.script = [PromptTooLong("The prompt has 9000 tokens.")]
        await app.say("Hi")
        await app.until_words("The prompt has 9000 tokens.")
        assert not app.session.closed
        await answered(app, "Again", ["Fine."])


async def test_a_full_disk_is_told_and_the_answer_comes(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    service.folder.write_text("not a folder")
    async with running(service) as app:
        await app.until_screen(Chat)
        await app.say("Hi")
        await app.until_told("could not be saved")
        await app.until_words("complete")


async def test_a_full_context_is_named(tmp_path: Path) -> None:
    last = Chunk(Phase.DONE, completion_tokens=9, context_used=8192, finish=Finish.LENGTH)
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        app.session.script = [[last]]
        await app.say("Hi")
        await app.until_words("the context is full")


async def test_errors_of_the_engine_before_a_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)

        def broken(messages: object) -> int:
            raise EngineError("The engine does not answer.")

        monkeypatch.setattr(app.session, "count_tokens", broken)
        await app.say("Hi")
        await app.until_told("The engine does not answer.")
        assert app.composer.text == "Hi"
        await app.pilot.press("enter")
        await app.until(lambda: len(app.service.sessions) == 2)
        await app.until_words("complete")


async def test_what_is_too_long_to_be_counted_costs_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)

        def too_long(messages: object) -> int:
            raise UsageError("The prompt has far more than 4096 tokens.")

        with monkeypatch.context() as patched:
            patched.setattr(app.session, "count_tokens", too_long)
            await app.say("Hi")
            await app.until_told("far more than 4096")
            assert app.composer.text == "Hi"
        await app.pilot.press("enter")
        await app.until_words("complete")
        assert len(app.service.sessions) == 1


async def test_a_dead_engine_holds_nothing_and_its_context_is_still_known(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "Hi", ["Yes."])
        app.session.script = [EngineError("The engine ended (signal 9).")]
        await app.say("More")
        await app.until_words("The engine ended (signal 9).")
        app.screen.tick()  # type: ignore[attr-defined]
        await app.until_words("no measurement yet")
        assert "of 8,192" in app.words() and "of 0" not in app.words()


async def test_an_answer_that_was_ended_keeps_why_in_its_note(tmp_path: Path) -> None:
    *begun, last = turn(["On ", "and on."])
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        app.session.script = [[*begun, replace(last, finish=Finish.LENGTH, happened="It repeats itself.")]]
        await app.say("Hi")
        await app.until(lambda: app.shown(".note").endswith("ended early · It repeats itself."))


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("/plan 0", "/plan wants a context length, not '0'."),
        (f"/plan {'9' * 5000}", "/plan wants a context length, not '9999"),
        (f"/edit {'9' * 5000}", "/edit wants the number of a question, 1 to 1, not '9999"),
        (f"/copy {'9' * 5000}", "/copy wants the number of a code block, and there is none, not '9999"),
    ],
)
async def test_a_number_that_is_none_is_told(tmp_path: Path, typed: str, sentence: str) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "Hi", ["Yes."])
        await app.say(typed)
        await app.until_told(sentence)
        assert isinstance(app.screen, Chat)
