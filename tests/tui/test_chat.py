"""The chat, key by key, over a scripted service."""

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from textual import events

from runner.storage.conversations import ConversationStore
from runner.types.generation import Message
from runner.types.sampling import Sampling
from runner.types.thinking import Think
from scripts.draw.scripted import turn
from tests.support.screens import RunningApp, answered, kept, running, scripted
from tui.actions import ACTIONS
from tui.app import LocalrunApp
from tui.screens.chat import Chat
from tui.screens.dialogs import LineDialog, TextDialog
from tui.screens.picker import Picker
from tui.widgets.conversation import ConversationView


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


async def test_why_much_was_read_again_is_said_below_the_answer(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "one and many more", ["uno"])
        await answered(app, "two", ["dos"], prompt=900)
        assert "900 prompt tokens read (the cache held no more of it)" in app.shown(".note")
