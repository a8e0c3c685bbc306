"""The chat, key by key, over a scripted service."""

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest
from textual import events
from textual.widgets import OptionList

from models.errors import DoesNotFit, EngineError, PromptTooLong, UsageError
from runner.storage.conversations import ConversationStore
from runner.types.generation import Chunk, Finish, Message, Phase
from runner.types.notice import Notice
from runner.types.sampling import Sampling
from runner.types.slowness import CoresTaken, Slowness
from runner.types.thinking import Think
from scripts.draw.scripted import ScriptedService, turn
from tests.support.screens import RunningApp, running, scripted
from tui.actions import ACTIONS
from tui.app import LocalrunApp
from tui.screens.branch_list import BranchList
from tui.screens.chat import Chat
from tui.screens.conversation_list import ConversationList
from tui.screens.copying import CopyDialog
from tui.screens.dialogs import Ask, LineDialog, TextDialog
from tui.screens.find import Find
from tui.screens.picker import Picker
from tui.screens.plan import PlanScreen
from tui.widgets.conversation import ConversationView
from tui.widgets.turn import AnswerView


def kept(service: ScriptedService) -> list[tuple[str, str]]:
    """What the newest file says."""
    logs = ConversationStore(service.folder).all()
    return [(turn.role, turn.text) for turn in logs[0].conversation.turns] if logs else []


async def answered(app: RunningApp, question: str, words: list[str], **more: object) -> None:
    app.session.script = [turn(words, **more)]  # type: ignore[arg-type]
    count = len(app.session.asked)
    await app.say(question)
    await app.until(lambda: len(app.session.asked) > count)
    await app.until(lambda: app.shown(".note").endswith("complete"))
    await app.pilot.pause()


async def test_a_turn_from_question_to_note(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), system="Be brief.") as app:
        await app.until_screen(Chat)
        await app.until_words("is ready after 1.8 s.")
        await answered(app, "What is it?", ["A ", "**file**", "."], reasoning=["Hm. "])
        assert app.session.asked[0][0] == [Message("system", "Be brief."), Message("user", "What is it?")]
        assert "A file." in app.words()
        assert "4 tokens · 40.0 tok/s · first token 0.42 s · 40 prompt tokens read · complete" in app.shown(".note")
        assert kept(app.service) == [("user", "What is it?"), ("assistant", "A **file**.")]
        assert app.service.recalled == [str(log.path) for log in ConversationStore(app.service.folder).all()]
        assert "What is it?" in app.shown("#head")
        assert app.composer.has_focus
        assert not app.composer.text


async def test_what_was_done_to_please_a_template_is_said_once(tmp_path: Path) -> None:
    script = turn(["1"])
    folded = [*script[:-1], replace(script[-1], notes=("It was folded.",))]
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        app.session.script = [folded, folded]
        for question, ending in (("one", "complete · It was folded."), ("two", "complete")):
            await app.say(question)
            await app.until(partial(_ends, app, ending))
            await app.pilot.pause()


def _ends(app: RunningApp, ending: str) -> bool:
    return app.shown(".note").endswith(ending)


async def test_the_conversation_goes_on_with_all_of_it(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "one", ["1"], reasoning=["thought"])
        await answered(app, "two", ["2"])
        assert [(m.role, m.content, m.reasoning) for m in app.session.asked[1][0]] == [
            ("user", "one", None),
            ("assistant", "1", "thought"),
            ("user", "two", None),
        ]


async def test_enter_sends_and_other_keys_write_lines(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await app.pilot.press("a", "ctrl+j", "b", "shift+enter", "c", "enter")
        await app.until(lambda: bool(app.session.asked))
        assert app.session.asked[0][0][-1].content == "a\nb\nc"


async def test_the_up_key_brings_messages_back(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "first", ["1"])
        await answered(app, "second", ["2"])
        await app.pilot.press("d", "up")
        assert app.composer.text == "second"
        await app.pilot.press("up", "up")
        assert app.composer.text == "first"
        await app.pilot.press("down", "down")
        assert app.composer.text == "d"


async def test_escape_stops_and_says_so_at_once(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    service.gate = threading.Semaphore(4)
    service.script = [turn(["word "] * 50)]
    async with running(service) as app:
        await app.until_screen(Chat)
        await app.say("Talk")
        await app.until_words("2 tokens")
        app.session.gate = None
        await app.pilot.press("escape")
        assert "stopping…" in app.shown(".note") or "stopped by you" in app.shown(".note")
        app.session.stopped.wait(5)
        service.gate.release(100)
        await app.until_words("stopped by you")
        assert kept(service)[1] == ("assistant", "word word ")


async def test_nothing_is_lost_while_it_answers(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    service.gate = threading.Semaphore(4)
    service.script = [turn(["word "] * 5)]
    async with running(service) as app:
        await app.until_screen(Chat)
        await app.say("Talk")
        await app.until_words("2 tokens")
        assert kept(service) == [("user", "Talk"), ("assistant", "word word ")]  # on disk while it grows
        await app.say("and now?")
        await app.until_told("still answering")
        assert app.composer.text == "and now?"
        service.gate.release(100)
        await app.until_words("complete")


async def test_reading_a_long_prompt_is_shown(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    service.gate = threading.Semaphore(1)
    service.script = [turn(["ok"], prompt=4000)]
    async with running(service) as app:
        await app.until_screen(Chat)
        await app.say("Read")
        await app.until_words("Reading the prompt: 2,000 of 4,000 tokens")
        service.gate.release(100)
        await app.until_words("complete")


async def test_regenerate_edit_continue(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "one", ["1"])
        app.session.script = [turn(["uno"])]
        await app.pilot.press("ctrl+r")
        await app.until_words("uno")
        await app.until(lambda: kept(app.service) == [("user", "one"), ("assistant", "uno")])
        app.session.script = [turn([" dos"])]
        await app.pilot.press("ctrl+g")
        await app.until(lambda: len(app.session.asked) == 3)
        assert app.session.asked[-1][2] is True
        await app.until(lambda: kept(app.service)[-1] == ("assistant", "uno dos"))
        await app.until_words("uno dos")
        await app.pilot.press("ctrl+b")
        assert app.composer.text == "one"
        await app.pilot.press("escape")
        assert app.composer.text == ""
        assert len(kept(app.service)) == 2
        await app.pilot.press("ctrl+b")
        await answered(app, "eins", ["zwei"])
        assert kept(app.service) == [("user", "eins"), ("assistant", "zwei")]


async def test_letters_work_when_nobody_writes(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "one", ["1"])
        await app.pilot.press("escape")
        assert app.screen.query_one(ConversationView).has_focus
        await app.pilot.press("question_mark")
        await app.until_screen(TextDialog)
        assert "Ctrl+R" in app.words()
        await app.pilot.press("escape", "s")
        await app.until_screen(TextDialog)
        assert "Planned and measured" in app.words()
        await app.pilot.press("escape", "i", "p")
        assert app.composer.text == "p"


async def test_where_nothing_was_asked_that_is_said(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        for press in ("ctrl+r", "ctrl+g", "ctrl+b", "ctrl+y"):
            await app.pilot.press(press)
        await app.say("/undo")
        await app.say("/copy 1")
        await app.until_told("and there is none, not '1'")
        said = [call.args[0] for call in app.told.call_args_list]
        assert said.count("Nothing has been asked yet.") == 4
        assert said.count("There is nothing to copy yet.") == 1


async def test_keys_count_in_the_order_they_come(tmp_path: Path) -> None:
    """Also where several come before the screen has looked at the first."""
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        hurry(app, "a", "b", "backspace", "c", "left", "d")
        await app.until(lambda: app.composer.text == "adc")
        await app.pilot.press("escape", "N")
        await app.until_screen(LineDialog)
        hurry(app, *["backspace"] * 4, "w", "a", "y", "enter")
        await app.until(lambda: "New way" in app.shown("#head"))


def hurry(app: RunningApp, *keys: str) -> None:
    """Press keys as a terminal does, without waiting for any."""
    for key in keys:
        event = events.Key(key, key if len(key) == 1 else None)
        event.set_sender(app.pilot.app)
        app.pilot.app.post_message(event)


async def test_all_of_the_help_can_be_read_in_a_small_terminal(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), size=(80, 24)) as app:
        await app.until_screen(Chat)
        await app.pilot.press("f1")
        await app.until_screen(TextDialog)
        await app.pilot.press("end")
        await app.until_words("/exit            End the engine")
        assert "Esc goes back" in app.words()


async def test_thinking_folds(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "one", ["1"], reasoning=["secret thought"])
        assert "secret thought" not in app.words()
        await app.pilot.press("escape", "z")
        await app.until_words("secret thought")
        await app.pilot.press("i")
        await app.say("/fold")
        await app.until(lambda: "secret thought" not in app.words())


async def test_thinking_is_a_switch(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        for press, said in (("ctrl+t", "think off"), ("ctrl+t", "think on"), (None, "think high")):
            if press:
                await app.pilot.press(press)
            else:
                await app.say("/think high")
            await app.until_words(said)
        await answered(app, "one", ["1"])
        _, sampling, _ = app.session.asked[-1]
        assert sampling.think is Think.HIGH


async def test_copy(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "one", ["**1**"])
        await app.pilot.press("ctrl+y")
        assert app.pilot.app.clipboard == "**1**"


async def test_the_palette_has_every_action(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        titles = {command.title for command in app.pilot.app.get_system_commands(app.screen)}
        assert {action.title for action in ACTIONS} <= titles


async def test_every_action_comes_by_key_by_letter_by_slash_and_from_the_palette(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, str]] = []

    def heard(name: str) -> Callable[..., None]:
        return lambda _chat, argument="": done.append((name, argument))

    for action in ACTIONS:
        monkeypatch.setattr(Chat, f"action_{action.name}", heard(action.name))
    monkeypatch.setattr(LocalrunApp, "action_quit", heard("exit"))  # Ctrl+Q is the application's, on every screen
    async with running(scripted(tmp_path), size=(80, 24)) as app:
        await app.until_screen(Chat)
        commands = list(app.pilot.app.get_system_commands(app.screen))
        palette = {command.title: command for command in commands}
        assert len(palette) == len(commands), "no two are called the same"
        for action in ACTIONS:
            app.composer.put(f"/{action.slash} some words")
            palette[action.title].callback()
            await app.pilot.press("enter", *([action.key] if action.key else []))
        by_key = [((one.name, ""), (one.name, "some words"), *[(one.name, "")] * bool(one.key)) for one in ACTIONS]
        assert done == [heard for all_of_one in by_key for heard in all_of_one]
        done.clear()
        letters = {action.letter: action.name for action in ACTIONS if action.letter}
        await app.pilot.press("escape", *letters, "escape")
        assert [name for name, _ in done] == [*letters.values(), "stop"]


async def test_conversations_are_kept_resumed_renamed_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "About GGUF", ["A file."])
        await app.pilot.press("escape", "N", *(["backspace"] * len("About GGUF")), *"GGUF basics", "enter", "i")
        await app.until(lambda: "GGUF basics" in app.shown("#head"))
        await app.pilot.press("ctrl+n")
        await app.until_words("is ready after")
        await answered(app, "Another", ["Two."])
        await app.pilot.press("f3")
        await app.until_screen(ConversationList)
        await app.until_words("GGUF basics")
        await app.pilot.press("down", "r")
        await app.until_screen(LineDialog)
        await app.pilot.press(*"!", "enter")
        await app.until_words("GGUF basics!")
        await app.pilot.press("x")
        exported = tmp_path / "gguf-basics.md"
        await app.until(exported.exists)
        assert "A file." in exported.read_text()
        await app.until(lambda: isinstance(app.screen, ConversationList))
        await app.pilot.press("enter")
        await app.until_screen(Chat)
        await app.until_words("A file.")
        await answered(app, "More?", ["Yes."])
        assert [m.content for m in app.session.asked[-1][0]] == ["About GGUF", "A file.", "More?"]
        first, *_, again = app.service.recalled
        left = app.service.remembered
        assert first == again == left[0] and len(set(left)) == len(left) == 2


async def test_export_does_not_overwrite(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "one", ["1"])
        target = tmp_path / "out.md"
        await app.say(f"/export {target}")
        await app.until(target.exists)
        target.write_text("mine")
        await app.say(f"/export {target}")
        await app.until_told("exists already")
        assert target.read_text() == "mine"


async def test_settings_and_system_prompt(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), sampling=Sampling(seed=1)) as app:
        await app.until_screen(Chat)
        await app.say("/set temp 0.2")
        await app.until_words("temp 0.2, seed 1 (asked for)")
        await app.say("/set")
        await app.until_words("top-p 0.95, top-k 40, min-p 0.05, repeat-penalty 1, frequency-penalty 0,")
        await app.until_words("presence-penalty 0 (llama.cpp's default)")
        await app.pilot.press("escape")
        await app.pilot.press("f8", *"top-k 5", "enter")
        await app.until_words("top-k 5 (asked for)")
        await app.pilot.press(*"temp 11", "enter")
        await app.until_words("11 is out of range: 0 to 10.")
        await app.pilot.press("escape")
        await app.say("/set top-k off")
        await app.say("/set temp hot")
        await app.until_told("'hot' is not a number")
        await app.say("/system Be brief.")
        await answered(app, "one", ["1"])
        messages, sampling, _ = app.session.asked[-1]
        assert messages[0] == Message("system", "Be brief.")
        assert sampling == Sampling(temperature=0.2, seed=1)
        await app.say("/system -")
        await answered(app, "two", ["2"])
        assert app.session.asked[-1][0][0].role == "user"


async def test_an_unknown_command_is_not_sent(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await app.say("/regne")
        await app.until_told("did you mean /regen?")
        assert app.composer.text == "/regne"
        await answered(app, "//etc", ["ok"])
        assert app.session.asked[-1][0][-1].content == "/etc"


async def test_tab_completes_commands(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await app.pilot.press("/", "s", "y")
        await app.until_words("/system")
        await app.pilot.press("tab")
        assert app.composer.text == "/system "


async def test_control_characters_are_shown(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "a\x1b[2Jb", ["\x1b]0;title\x07", "[red]x[/red] <b>y</b>"])
        assert "a␛[2Jb" in app.words()
        assert "␛]0;title␇[red]x[/red] <b>y</b>" in app.words()
        assert "\x1b" not in app.words()


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


async def test_the_panel_measures_and_predicts(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    service.gate = threading.Semaphore(3)
    service.script = [turn(["w "] * 40, tps=160.0)]
    async with running(service) as app:
        await app.until_screen(Chat)
        chat = app.screen
        assert isinstance(chat, Chat)
        await app.until_words("weights 0.09")
        assert "31/31 layers" in app.words()
        assert "There is no GPU here" in app.words()
        await app.say("Hi")
        await app.until_words("1 token ")
        chat.tick()
        service.gate.release(20)
        await app.until_words("21 tokens")
        app.clock.seconds += 0.125
        chat.tick()
        await app.until_words("decode 160 tok/s")
        assert "predicted 165 (-3%)" in app.words()
        assert "context 61 of 8,192" in app.words()
        service.gate.release(100)
        await app.until_words("complete")


async def test_two_cards_with_what_the_driver_says(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), "llama-3.3-70b", ask=False) as app:
        await app.until_screen(Chat)
        await app.until_words("71°C 338 W")
        for words in (
            "CUDA0  41/81 layers",
            "CUDA1  40/81 layers",
            "81 of 81 layers on GPUs",
            "KV 1.2",
            "attn+KV",
            "FFN",
        ):
            assert words in app.words()
        assert "F2 opens the plan" not in app.words()


async def test_a_narrow_screen_collapses_the_panel(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), size=(80, 24)) as app:
        await app.until_screen(Chat)
        await app.until_words("6.4/24.0")
        assert "PLACEMENT" not in app.words()
        await app.pilot.press("f4")
        await app.until_words("PLACEMENT")
        await app.pilot.press("f4")
        await app.until(lambda: "PLACEMENT" not in app.words())


async def test_the_panel_can_be_hidden(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await app.until_words("PLACEMENT")
        await app.pilot.press("f4")
        await app.until(lambda: "PLACEMENT" not in app.words())


async def test_a_reply_of_100_kb_is_cut_into_pieces(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "Talk", ["lorem ipsum "] * 8500)
        answer = app.screen.query_one(AnswerView)
        pieces = [piece.source for piece in answer.query(".piece").results() if hasattr(piece, "source")]
        assert "".join(pieces) == "lorem ipsum " * 8500
        assert max(map(len, pieces)) <= 1200


@pytest.mark.parametrize("leave", ["ctrl+q", "/exit"])
async def test_leaving(tmp_path: Path, leave: str) -> None:
    service = scripted(tmp_path)
    async with running(service) as app:
        await app.until_screen(Chat)
        if leave.startswith("/"):
            await app.say(leave)
        else:
            await app.pilot.press(leave)
        await app.until(lambda: not app.pilot.app.is_running)


async def test_another_model(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "one", ["1"])
        await app.say("/model mixtral-8x22b")
        await app.until(lambda: len(app.service.sessions) == 2)
        await app.until_words("experts")
        await app.until_words("1 token")
        await answered(app, "two", ["2"])
        assert [message.content for message in app.session.asked[-1][0]] == ["one", "1", "two"]
        assert len(ConversationStore(app.service.folder).all()) == 1
        await app.pilot.press("f9")
        await app.until_screen(Picker)
        await app.pilot.press("escape")
        await answered(app, "three", ["3"])  # the engine ran on
        assert len(app.service.sessions) == 2
        await app.say("/model")
        await app.until_screen(Picker)
        await app.pilot.press("enter")
        await app.until(lambda: len(app.service.sessions) == 3)


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


async def test_forty_columns_and_ten_lines_leave_room_to_write_and_to_read(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), size=(40, 10)) as app:
        await app.until_screen(Chat)
        chat = app.screen
        assert isinstance(chat, Chat)
        app.session.slowness = Slowness(0.61, CoresTaken("another localrun", 23880, 1.6))
        chat.tick()
        await app.until_words("Decode is")
        await app.pilot.press(*"Hello")
        await app.until_words("│ Hello")
        assert "f1 Help" in app.words().splitlines()[-1]


async def test_a_conversation_that_another_window_holds_goes_on_as_a_copy(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "Mine", ["one"])
        await app.pilot.press("ctrl+n")
        await app.until_words("is ready after")
        [listed] = ConversationStore(app.service.folder).all()
        elsewhere = ConversationStore(app.service.folder).go_on(listed.path)
        assert not elsewhere.is_new
        await app.pilot.press("f3")
        await app.until_screen(ConversationList)
        await app.until_words("Mine")
        await app.pilot.press("enter")
        await app.until_told("open in another window")
        elsewhere.say("user", "Yours")
        await answered(app, "More", ["two"])
        said = [[turn.text for turn in log.conversation.turns] for log in ConversationStore(app.service.folder).all()]
        assert sorted(said) == [["Mine", "one", "More", "two"], ["Mine", "one", "Yours"]]
        elsewhere.close()


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_why_it_is_slow_stands_beside_the_speed(tmp_path: Path, size: tuple[int, int]) -> None:
    async with running(scripted(tmp_path), size=size) as app:
        await app.until_screen(Chat)
        chat = app.screen
        assert isinstance(chat, Chat)
        app.session.slowness = Slowness(0.38, CoresTaken("ffmpeg", 812, 1.5))
        chat.tick()
        await app.pilot.pause()
        shown = " ".join(app.words().replace("│", " ").split())
        assert "! Decode is 38% below its prediction: other programs" in shown
        assert "Ending it would help." in shown
        app.session.slowness = None
        chat.tick()
        await app.until(lambda: "below its prediction" not in app.words())


async def test_a_command_goes_on_with_an_earlier_conversation(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    store = ConversationStore(service.folder)
    earlier = store.new("smollm2-135m Q4_1")
    earlier.say("user", "Mine")
    earlier.say("assistant", "")
    earlier.grow("Yours")
    earlier.close()
    async with running(service, conversation=earlier.path, system="Be kind.") as app:
        await app.until_words("Yours")
        await answered(app, "More", ["two"])
        [kept] = store.all()
        assert [turn.text for turn in kept.conversation.turns] == ["Mine", "Yours", "More", "two"]
        assert kept.conversation.system == "Be kind."


async def test_a_command_that_names_what_goes_on_makes_a_copy(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    store = ConversationStore(service.folder)
    earlier = store.new("smollm2-135m Q4_1")
    earlier.say("user", "Mine")
    async with running(service, conversation=earlier.path, title="branch") as app:
        await app.until_words("Mine")
        await answered(app, "More", ["two"])
        assert {log.conversation.title: len(log.conversation.turns) for log in store.all()} == {"branch": 3, "Mine": 1}
    earlier.close()


async def test_a_command_names_the_chat_that_it_begins(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), title="mine") as app:
        await app.until_screen(Chat)
        await answered(app, "One", ["two"])
        assert [log.conversation.title for log in ConversationStore(app.service.folder).all()] == ["mine"]


async def test_a_conversation_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), conversation=tmp_path / "gone.jsonl") as app:
        await app.until_told("The conversation cannot be opened: No such file or directory.")


async def test_undo_takes_a_question_back_and_its_branch_stays(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "one", ["1"])
        await answered(app, "two", ["2"])
        await app.say("/undo")
        await app.until(lambda: app.composer.text == "two")
        assert kept(app.service) == [("user", "one"), ("assistant", "1")]
        await answered(app, "deux", ["II"])
        await app.pilot.press("f5")
        await app.until_screen(BranchList)
        assert "● one" in app.words()
        await app.pilot.press("down", "enter")
        await app.until(lambda: [text for _, text in kept(app.service)] == ["one", "1", "two", "2"])
        await app.until_words("two")
        await app.say("/branch in English")
        await app.pilot.press("f5")
        await app.until_words("● in English  4 turns  present")
        assert "deux  4 turns" in app.words()
        await app.pilot.press("n")
        await app.until_screen(LineDialog)
        await app.pilot.press("!", "enter")
        await app.pilot.press("f5")
        await app.until_words("● in English!")


async def test_an_earlier_question_is_edited_as_a_branch(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        for question, answer in (("one", "1"), ("two", "2"), ("three", "3")):
            await answered(app, question, [answer])
        await app.pilot.press("ctrl+b", "ctrl+b")
        assert app.composer.text == "two"
        await app.until_words("Editing question 2: Enter asks it anew")
        await app.say("/edit 4")
        await app.until_told("1 to 3, not '4'")
        await app.say("/edit 1")
        assert app.composer.text == "one"
        await answered(app, "eins", ["I"])
        assert kept(app.service) == [("user", "eins"), ("assistant", "I")]
        [branch] = ConversationStore(app.service.folder).all()[0].conversation.branches
        assert [turn.text for turn in branch.turns] == ["one", "1", "two", "2", "three", "3"]


async def test_an_earlier_answer_is_changed_as_a_branch_and_gone_on_with(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        for question, answer in (("one", "1"), ("two", "2")):
            await answered(app, question, [answer], reasoning=["thought"])
        await app.pilot.press("escape", "E")
        await app.until_words("Editing answer 2")
        await app.pilot.press("escape")
        await app.say("/answer 3")
        await app.until_told("1 to 2, not '3'")
        await app.say("/answer 1")
        assert app.composer.text == "1"
        await app.say("Read @here: ```")
        await app.until_told("Ctrl+G goes on with it")
        assert "Read @here" in app.words() and "changed by you" in app.words() and "Editing" not in app.words()
        assert kept(app.service) == [("user", "one"), ("assistant", "Read @here: ```")]
        [branch] = ConversationStore(app.service.folder).all()[0].conversation.branches
        assert [turn.text for turn in branch.turns] == ["one", "1", "two", "2"]
        app.session.script = [turn(["uno"])]
        await app.pilot.press("ctrl+g")
        await app.until(lambda: kept(app.service)[-1] == ("assistant", "Read @here: ```uno"))
        assert app.session.asked[-1][0][-1] == Message("assistant", "Read @here: ```", None)


async def test_a_long_conversation_is_made_short_and_stays_whole(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "word " * 2000, ["1"])
        await app.say("/compact")
        await app.until_told("There is nothing to compact")
        await answered(app, "two", ["2"], reasoning=["thought"])
        await app.say("/compact")
        await app.until_screen(Ask)
        assert "The conversation takes 2,516 tokens; with a summary of at most 512" in app.shown("#text")
        assert "it would take about 535" in app.shown("#text")
        app.session.script = [turn(["They ", "said ", "much."])]
        await app.pilot.press("enter")
        await app.until_told("Compacted from 2,516 to 26 tokens.")
        assert app.session.asked[-1][1].max_tokens == 512
        assert [text for _, text in kept(app.service)][1:] == ["They said much.", "two", "2"]
        [log] = ConversationStore(app.service.folder).all()
        assert log.conversation.turns[-1].reasoning == "thought"
        assert len(log.conversation.branches[0].turns) == 4
        assert "They said much." in app.words()


async def test_nothing_is_made_short_where_that_saves_nothing(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        for question in ("one", "two"):
            await answered(app, question, ["1"])
        await app.say("/compact")
        await app.until_told("Compacting would save nothing: ")
        assert isinstance(app.screen, Chat) and len(app.session.asked) == 2


async def test_a_summary_that_is_stopped_changes_nothing(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "one " * 200, ["1"])
        await answered(app, "two", ["2"])
        before = kept(app.service)
        app.session.script = [turn(["word "] * 50)]
        app.session.gate = threading.Semaphore(4)
        await app.pilot.press("f6")
        await app.until_screen(Ask)
        await app.pilot.press("enter")
        await app.until_words("2 tokens")
        await app.pilot.press("escape")
        await app.until(lambda: len(app.screen.query(AnswerView)) == 2)
        assert kept(app.service) == before


CODE = "Two ways:\n\n```python\nprint(1)\n```\n\nor, as [here](https://example.org/a):\n\n```sh\necho 2\n```\n"


async def test_code_blocks_are_numbered_and_copied_by_number(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "one", [CODE])
        await answered(app, "two", ["Third:\n\n~~~\nls\n~~~\n"])
        await app.until_words("[3] text")
        assert "[1] python" in app.words() and "[2] sh" in app.words()
        await app.pilot.press("escape", "y")
        await app.until_screen(CopyDialog)
        assert "[1] python · print(1)" in app.words()
        await app.pilot.press("2")
        await app.until_told("Code block 2 is in the clipboard.")
        assert app.pilot.app.clipboard == "echo 2\n"
        await app.pilot.press("i")
        await app.say("/copy 4")
        await app.until_told("1 to 3, not '4'")
        await app.pilot.press("ctrl+y")
        await app.until_screen(CopyDialog)
        await app.pilot.press("enter")
        await app.until_told("The last answer is in the clipboard.")


async def test_numbers_of_two_digits_wait_for_the_second(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "one", [f"```\n{n}\n```\n" for n in range(1, 13)])
        for keys, copied in (("12", "12"), ("3", "3"), ("01", "1")):
            await app.pilot.press("ctrl+y")
            await app.until_screen(CopyDialog)
            await app.pilot.press(*keys, *(["enter"] if copied == "1" else []))
            await app.until_told(f"Code block {copied} is in the clipboard.")


async def test_tab_walks_over_code_blocks_and_links(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "one", [CODE])
        await app.pilot.press("escape", "tab")
        await app.until_words("1 of 3  [1] python · print(1)   y copies it")
        await app.pilot.press("tab")
        await app.until_words("2 of 3  https://example.org/a")
        await app.pilot.press("y")
        await app.until_told("The link is in the clipboard.")
        assert app.pilot.app.clipboard == "https://example.org/a"
        await app.pilot.press("shift+tab", "shift+tab")
        await app.until_words("3 of 3  [2] sh")


async def test_a_reason_stands_where_much_was_read_anew(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "one", ["1"])
        app.session.script = [turn(["2"], prompt=4000)]
        await app.say("/system Be brief.")
        await app.say("two")
        await app.until(lambda: "4,000 prompt tokens read (the system prompt is another)" in app.shown(".note"))


@pytest.mark.parametrize("notice", [Notice.BELL, Notice.DESKTOP])
async def test_a_bell_ends_a_long_answer(tmp_path: Path, notice: Notice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no desktop is known to hear of it, too."""
    monkeypatch.setattr("os.environ", {"TERM": "xterm", "PATH": str(tmp_path)})
    async with running(scripted(tmp_path), notice=notice) as app:
        await app.until_screen(Chat)
        with patch.object(app.pilot.app, "bell") as bell:
            await answered(app, "one", ["1"])
            bell.assert_not_called()
            app.session.gate = threading.Semaphore(1)
            app.session.script = [turn(["2"])]
            await app.say("two")
            await app.until_words("Reading the prompt")
            app.clock.seconds += 10
            app.session.gate.release(9)
            await app.until(lambda: bell.called)


async def test_a_file_goes_with_a_message_and_is_folded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("first line\nsecond line\n" * 20)
    (tmp_path / "my big.txt").write_text("word " * 10_000)
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await app.pilot.press(*"What is @n")
        await app.until(lambda: "notes.txt" in app.shown("#hint"))
        await app.pilot.press("tab")
        assert app.composer.text == "What is @notes.txt"
        await app.until(lambda: app.shown("#hint") == "notes.txt: 119 tokens · with that 123 of 8,192: it fits")
        app.session.script = [turn(["Lines."])]
        await app.pilot.press("enter")
        await app.until(lambda: bool(app.session.asked))
        text = "first line\nsecond line\n" * 20
        assert app.session.asked[0][0][-1].content == f"notes.txt:\n```\n{text}```\n\nWhat is @notes.txt"
        await app.until_words("notes.txt · 40 lines")
        assert "second line" not in app.words()
        await app.until(lambda: app.shown(".note").endswith("complete"))
        await app.pilot.press("ctrl+b")
        assert app.composer.text == "What is @notes.txt"
        await app.pilot.press("escape")
        app.composer.put('@"my big.txt"')
        await app.until(lambda: app.shown("#hint").endswith("tokens too many"))
        assert "my big.txt: 12,5" in app.shown("#hint")


async def test_a_file_that_is_no_text_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.bin").write_bytes(b"\0\1")
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await app.say("Read @a.bin and @nobody")
        await app.until_told("it is not text")
        assert app.composer.text == "Read @a.bin and @nobody"
        assert not app.session.asked


async def test_a_pasted_path_becomes_a_mention(tmp_path: Path) -> None:
    file = tmp_path / "my notes.txt"
    file.write_text("text")
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        app.pilot.app.post_message(events.Paste(f"file://{str(file).replace(' ', '%20')}\n"))
        await app.until(lambda: app.composer.text == f'@"{file}" ')
        app.composer.put("")
        app.pilot.app.post_message(events.Paste("no such file"))
        await app.until(lambda: app.composer.text == "no such file")


async def test_a_paste_of_100_kb_is_kept_aside_and_sent_whole(tmp_path: Path) -> None:
    pasted = "0123456789abcde\n" * 6400
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        app.session.script = [turn(["Long."])]
        app.pilot.app.post_message(events.Paste(pasted.replace("\n", "\r")))
        await app.until(lambda: app.composer.text == "[pasted 1: 6,401 lines, 102,400 characters]")
        await app.pilot.press("!", "enter")
        await app.until_screen(Ask)  # it does not fit
        await app.pilot.press("escape")
        await app.until(lambda: app.composer.text.endswith("characters]!"))
        app.session.count_tokens = lambda messages: 40  # type: ignore[method-assign]
        await app.pilot.press("enter")
        await app.until(lambda: bool(app.session.asked))
        assert app.session.asked[0][0][-1].content == pasted + "!"


async def test_search_in_a_conversation_and_in_all(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "About whales", ["They sing at length.\n" * 40])
        await answered(app, "And gulls?", ["They cry."])
        await app.pilot.press("ctrl+f")
        await app.until_screen(Find)
        await app.pilot.press(*"they")
        await app.until_words("answer They cry.")
        assert "answer They sing" in app.words()
        await app.pilot.press(*" sing", "enter")
        await app.until_screen(Chat)
        await app.until_words("They sing at length.")
        await app.pilot.press("ctrl+n")
        await app.until_words("is ready after")
        await answered(app, "Something else", ["Nothing."])
        await app.pilot.press("f3")
        await app.until_screen(ConversationList)
        await app.pilot.press("slash", *"gulls")
        await app.until(lambda: app.screen.query_one(OptionList).option_count == 1)
        await app.until_words("And gulls?")
        await app.pilot.press("enter", "enter")
        await app.until_screen(Chat)
        await app.until_words("They cry.")


async def test_a_system_prompt_has_a_name(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await app.pilot.press("f7", *":pirate Talk like a pirate.", "enter")
        await app.until_told("The system prompt is set.")
        await app.say("/system -")
        await app.say("/system :pirat")
        await app.until_told("No prompt is named 'pirat'")
        await app.say("/system :pirate")
        await answered(app, "one", ["1"])
        assert app.session.asked[-1][0][0] == Message("system", "Talk like a pirate.")
        await app.say("/system")
        await app.until_words(":NAME takes one of pirate")


async def test_a_command_with_files_waits_for_the_question(tmp_path: Path) -> None:
    notes = tmp_path / "my notes.txt"
    notes.write_text("Salt.")
    async with running(scripted(tmp_path), files=(notes,)) as app:
        await app.until_screen(Chat)
        assert app.composer.text == f'@"{notes}" '
        app.composer.insert("Why?")
        await app.pilot.press("enter")
        await app.until(lambda: bool(app.session.asked))
        [message] = app.session.asked[0][0]
        assert message.content == f'{notes}:\n```\nSalt.\n```\n\n@"{notes}" Why?'
