"""The chat, key by key, over a fake engine."""

import threading
from pathlib import Path

import pytest

from models.errors import EngineError, PromptTooLong
from runner.storage.conversations import ConversationStore
from runner.types.generation import Chunk, Finish, Message, Phase
from runner.types.sampling import Sampling
from scripts.draw.scripted import ScriptedService, turn
from tests.support.stage import Stage, backend, stage
from tui.screens.chat import Chat
from tui.screens.conversations import ConversationList
from tui.screens.dialogs import Ask, Line, Reading
from tui.screens.picker import Picker
from tui.screens.plan import PlanScreen
from tui.widgets.conversation import ConversationView
from tui.widgets.turn import Answer


def kept(fake: ScriptedService) -> list[tuple[str, str]]:
    """What the newest file says."""
    logs = ConversationStore(fake.folder).all()
    return [(turn.role, turn.text) for turn in logs[0].conversation.turns] if logs else []


async def answered(play: Stage, question: str, words: list[str], **more: object) -> None:
    play.session.script = [turn(words, **more)]  # type: ignore[arg-type]
    count = len(play.session.asked)
    await play.say(question)
    await play.until(lambda: len(play.session.asked) > count)
    await play.until(lambda: play.shown(".note").endswith("complete"))
    await play.pilot.pause()


async def test_a_turn_from_question_to_note(tmp_path: Path) -> None:
    async with stage(backend(tmp_path), system="Be brief.") as play:
        await play.until_screen(Chat)
        await play.until_words("is ready after 1.8 s.")
        await answered(play, "What is it?", ["A ", "**file**", "."], reasoning=["Hm. "])
        assert play.session.asked[0][0] == [Message("system", "Be brief."), Message("user", "What is it?")]
        assert "A file." in play.words()
        assert "4 tokens · 40.0 tok/s · first token 0.42 s · complete" in play.words()
        assert kept(play.backend) == [("user", "What is it?"), ("assistant", "A **file**.")]
        assert "What is it?" in play.shown("#head")
        assert play.composer.has_focus
        assert not play.composer.text


async def test_the_conversation_goes_on_with_all_of_it(tmp_path: Path) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        await answered(play, "one", ["1"], reasoning=["thought"])
        await answered(play, "two", ["2"])
        assert [(m.role, m.content, m.reasoning) for m in play.session.asked[1][0]] == [
            ("user", "one", None),
            ("assistant", "1", "thought"),
            ("user", "two", None),
        ]


async def test_enter_sends_and_other_keys_write_lines(tmp_path: Path) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        await play.pilot.press("a", "ctrl+j", "b", "shift+enter", "c", "enter")
        await play.until(lambda: bool(play.session.asked))
        assert play.session.asked[0][0][-1].content == "a\nb\nc"


async def test_the_up_key_brings_messages_back(tmp_path: Path) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        await answered(play, "first", ["1"])
        await answered(play, "second", ["2"])
        await play.pilot.press("d", "up")
        assert play.composer.text == "second"
        await play.pilot.press("up", "up")
        assert play.composer.text == "first"
        await play.pilot.press("down", "down")
        assert play.composer.text == "d"


async def test_escape_stops_and_says_so_at_once(tmp_path: Path) -> None:
    fake = backend(tmp_path)
    fake.gate = threading.Semaphore(4)
    fake.script = [turn(["word "] * 50)]
    async with stage(fake) as play:
        await play.until_screen(Chat)
        await play.say("Talk")
        await play.until_words("2 tokens")
        play.session.gate = None
        await play.pilot.press("escape")
        assert "stopping…" in play.shown(".note") or "stopped by you" in play.shown(".note")
        play.session.stopped.wait(5)
        fake.gate.release(100)
        await play.until_words("stopped by you")
        assert kept(fake)[1] == ("assistant", "word word ")


async def test_nothing_is_lost_while_it_answers(tmp_path: Path) -> None:
    fake = backend(tmp_path)
    fake.gate = threading.Semaphore(4)
    fake.script = [turn(["word "] * 5)]
    async with stage(fake) as play:
        await play.until_screen(Chat)
        await play.say("Talk")
        await play.until_words("2 tokens")
        assert kept(fake) == [("user", "Talk"), ("assistant", "word word ")]  # on disk while it grows
        await play.say("and now?")
        await play.until_told("still answering")
        assert play.composer.text == "and now?"
        fake.gate.release(100)
        await play.until_words("complete")


async def test_reading_a_long_prompt_is_shown(tmp_path: Path) -> None:
    fake = backend(tmp_path)
    fake.gate = threading.Semaphore(1)
    fake.script = [turn(["ok"], prompt=4000)]
    async with stage(fake) as play:
        await play.until_screen(Chat)
        await play.say("Read")
        await play.until_words("reading the prompt: 2,000 of 4,000 tokens")
        fake.gate.release(100)
        await play.until_words("complete")


async def test_regenerate_edit_continue(tmp_path: Path) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        await answered(play, "one", ["1"])
        play.session.script = [turn(["uno"])]
        await play.pilot.press("ctrl+r")
        await play.until_words("uno")
        await play.until(lambda: kept(play.backend) == [("user", "one"), ("assistant", "uno")])
        play.session.script = [turn([" dos"])]
        await play.pilot.press("ctrl+g")
        await play.until(lambda: len(play.session.asked) == 3)
        assert play.session.asked[-1][2] is True
        await play.until(lambda: kept(play.backend)[-1] == ("assistant", "uno dos"))
        await play.until_words("uno dos")
        await play.pilot.press("ctrl+b")
        assert play.composer.text == "one"
        await play.pilot.press("escape")
        assert play.composer.text == ""
        assert len(kept(play.backend)) == 2
        await play.pilot.press("ctrl+b")
        await answered(play, "eins", ["zwei"])
        assert kept(play.backend) == [("user", "eins"), ("assistant", "zwei")]


async def test_letters_work_when_nobody_writes(tmp_path: Path) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        await answered(play, "one", ["1"])
        await play.pilot.press("escape")
        assert play.screen.query_one(ConversationView).has_focus
        await play.pilot.press("question_mark")
        await play.until_screen(Reading)
        assert "Ctrl+R" in play.words()
        await play.pilot.press("escape", "s")
        await play.until_screen(Reading)
        assert "Planned and measured" in play.words()
        await play.pilot.press("escape", "i", "p")
        assert play.composer.text == "p"


async def test_thinking_folds(tmp_path: Path) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        await answered(play, "one", ["1"], reasoning=["secret thought"])
        assert "secret thought" not in play.words()
        await play.pilot.press("ctrl+t")
        await play.until_words("secret thought")
        await play.say("/think")
        await play.until(lambda: "secret thought" not in play.words())


async def test_copy(tmp_path: Path) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        await answered(play, "one", ["**1**"])
        await play.pilot.press("ctrl+y")
        assert play.pilot.app.clipboard == "**1**"


async def test_the_palette_has_every_action(tmp_path: Path) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        titles = {command.title for command in play.pilot.app.get_system_commands(play.screen)}
        assert {"Plan", "Regenerate", "Export", "System prompt", "Model", "Statistics"} <= titles


async def test_conversations_are_kept_resumed_renamed_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        await answered(play, "About GGUF", ["A file."])
        await play.say("/save GGUF basics")
        await play.until(lambda: "GGUF basics" in play.shown("#head"))
        await play.pilot.press("ctrl+n")
        await play.until_words("is ready after")
        await answered(play, "Another", ["Two."])
        await play.pilot.press("f3")
        await play.until_screen(ConversationList)
        await play.until_words("GGUF basics")
        await play.pilot.press("down", "r")
        await play.until_screen(Line)
        await play.pilot.press(*"!", "enter")
        await play.until_words("GGUF basics!")
        await play.pilot.press("x")
        exported = tmp_path / "gguf-basics.md"
        await play.until(exported.exists)
        assert "A file." in exported.read_text()
        await play.until(lambda: isinstance(play.screen, ConversationList))
        await play.pilot.press("enter")
        await play.until_screen(Chat)
        await play.until_words("A file.")
        await answered(play, "More?", ["Yes."])
        assert [m.content for m in play.session.asked[-1][0]] == ["About GGUF", "A file.", "More?"]


async def test_export_does_not_overwrite(tmp_path: Path) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        await answered(play, "one", ["1"])
        target = tmp_path / "out.md"
        await play.say(f"/export {target}")
        await play.until(target.exists)
        target.write_text("mine")
        await play.say(f"/export {target}")
        await play.until_told("exists already")
        assert target.read_text() == "mine"


async def test_settings_and_system_prompt(tmp_path: Path) -> None:
    async with stage(backend(tmp_path), sampling=Sampling(seed=1)) as play:
        await play.until_screen(Chat)
        await play.say("/set temp 0.2")
        await play.until_words("temp 0.2")
        await play.say("/set temp hot")
        await play.until_told("temp wants a number")
        await play.say("/system Be brief.")
        await answered(play, "one", ["1"])
        messages, sampling, _ = play.session.asked[-1]
        assert messages[0] == Message("system", "Be brief.")
        assert sampling == Sampling(temperature=0.2, seed=1)
        await play.say("/system -")
        await answered(play, "two", ["2"])
        assert play.session.asked[-1][0][0].role == "user"


async def test_an_unknown_command_is_not_sent(tmp_path: Path) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        await play.say("/regne")
        await play.until_told("did you mean /regen?")
        assert play.composer.text == "/regne"
        await answered(play, "//etc", ["ok"])
        assert play.session.asked[-1][0][-1].content == "/etc"


async def test_tab_completes_commands(tmp_path: Path) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        await play.pilot.press("/", "s", "y")
        await play.until_words("/system")
        await play.pilot.press("tab")
        assert play.composer.text == "/system "


async def test_control_characters_are_shown(tmp_path: Path) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        await answered(play, "a\x1b[2Jb", ["\x1b]0;title\x07", "[red]x[/red] <b>y</b>"])
        assert "a␛[2Jb" in play.words()
        assert "␛]0;title␇[red]x[/red] <b>y</b>" in play.words()
        assert "\x1b" not in play.words()


ENOUGH = "word " * 6000


async def test_what_would_not_fit_can_go_into_a_new_chat(tmp_path: Path) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        await answered(play, ENOUGH, ["ok"])
        await play.say(ENOUGH)
        await play.until_screen(Ask)
        assert "the context holds 8,192" in play.shown("#text")
        assert "trained for 8,192 tokens" in play.words()
        await play.pilot.press("escape")
        await play.until_screen(Chat)
        assert play.composer.text == ENOUGH.strip("\n")
        await play.pilot.press("enter")
        await play.until_screen(Ask)
        await play.pilot.press("end", "enter")
        await play.until(lambda: len(play.session.asked) == 2)
        assert len(play.session.asked[-1][0]) == 1
        await play.until(lambda: len(ConversationStore(play.backend.folder).all()) == 2)


async def test_the_oldest_turns_can_be_dropped(tmp_path: Path) -> None:
    async with stage(backend(tmp_path), system="Be brief.") as play:
        await play.until_screen(Chat)
        await answered(play, ENOUGH, ["ok"])
        await answered(play, "short", ["fine"])
        await play.say("word " * 2000)
        await play.until_screen(Ask)
        assert "Drop the 2 oldest turns" in play.words()
        await play.pilot.press("home", "enter")
        await play.until(lambda: len(play.session.asked) == 3)
        assert [m.content[:5] for m in play.session.asked[-1][0]] == ["Be br", "short", "fine", "word "]
        assert "no longer sees the 2 turns above" in play.shown(".skipped")
        assert len(kept(play.backend)) == 6


async def test_more_context_is_planned_and_loaded(tmp_path: Path) -> None:
    async with stage(backend(tmp_path), "llama-3.3-70b", ask=False) as play:
        await play.until_screen(Chat)
        await play.say("word " * 7000)
        await play.until_screen(Ask)
        assert "More context: 16k" in play.words()
        await play.pilot.press("enter")
        await play.until_screen(PlanScreen)
        await play.until_words("16k context in f16")
        await play.pilot.press("enter")
        await play.until(lambda: len(play.backend.sessions) == 2 or play.shown("#status").startswith("Download"))
        if len(play.backend.sessions) == 1:
            await play.pilot.press("enter")
        await play.until(lambda: len(play.backend.sessions) == 2 and bool(play.session.asked))
        assert play.session.placement.ctx == 16_384
        assert play.backend.sessions[0].closed


async def test_a_dead_engine_is_told_and_started_anew(tmp_path: Path) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        play.session.script = [EngineError("The engine ended (signal 9).")]
        await play.say("Hi")
        await play.until_words("The engine ended (signal 9).")
        assert play.backend.sessions[0].closed
        play.backend.script.append(turn(["Back."]))
        await play.pilot.press("ctrl+r")
        await play.until(lambda: len(play.backend.sessions) == 2)
        await play.until_words("Back.")
        assert kept(play.backend) == [("user", "Hi"), ("assistant", "Back.")]


async def test_a_refused_turn_keeps_the_engine(tmp_path: Path) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        play.session.script = [PromptTooLong("The prompt has 9000 tokens.")]
        await play.say("Hi")
        await play.until_words("The prompt has 9000 tokens.")
        assert not play.session.closed
        await answered(play, "Again", ["Fine."])


async def test_a_full_disk_is_told_and_the_answer_comes(tmp_path: Path) -> None:
    fake = backend(tmp_path)
    fake.folder.write_text("not a folder")
    async with stage(fake) as play:
        await play.until_screen(Chat)
        await play.say("Hi")
        await play.until_told("could not be saved")
        await play.until_words("complete")


async def test_a_full_context_is_named(tmp_path: Path) -> None:
    last = Chunk(Phase.DONE, completion_tokens=9, context_used=8192, finish=Finish.LENGTH)
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        play.session.script = [[last]]
        await play.say("Hi")
        await play.until_words("the context is full")


async def test_the_panel_measures_and_predicts(tmp_path: Path) -> None:
    fake = backend(tmp_path)
    fake.gate = threading.Semaphore(3)
    fake.script = [turn(["w "] * 40, tps=160.0)]
    async with stage(fake) as play:
        await play.until_screen(Chat)
        chat = play.screen
        assert isinstance(chat, Chat)
        await play.until_words("weights 0.09")
        assert "31/31 layers" in play.words()
        assert "There is no GPU here" in play.words()
        await play.say("Hi")
        await play.until_words("1 token ")
        chat.tick()
        fake.gate.release(20)
        await play.until_words("21 tokens")
        play.clock.seconds += 0.125
        chat.tick()
        await play.until_words("decode 160 tok/s")
        assert "predicted 165 (-3%)" in play.words()
        assert "context 61 of 8,192" in play.words()
        fake.gate.release(100)
        await play.until_words("complete")


async def test_two_cards_with_what_the_driver_says(tmp_path: Path) -> None:
    async with stage(backend(tmp_path), "llama-3.3-70b", ask=False) as play:
        await play.until_screen(Chat)
        await play.until_words("71°C 338 W")
        for words in (
            "CUDA0  41/81 layers",
            "CUDA1  40/81 layers",
            "81 of 81 layers on GPUs",
            "KV 1.2",
            "attn+KV",
            "FFN",
        ):
            assert words in play.words()
        assert "F2 opens the plan" not in play.words()


async def test_a_narrow_screen_collapses_the_panel(tmp_path: Path) -> None:
    async with stage(backend(tmp_path), size=(80, 24)) as play:
        await play.until_screen(Chat)
        await play.until_words("6.4/24G")
        assert "PLACEMENT" not in play.words()
        await play.pilot.press("f4")
        await play.until_words("PLACEMENT")
        await play.pilot.press("f4")
        await play.until(lambda: "PLACEMENT" not in play.words())


async def test_the_panel_can_be_hidden(tmp_path: Path) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        await play.until_words("PLACEMENT")
        await play.pilot.press("f4")
        await play.until(lambda: "PLACEMENT" not in play.words())


async def test_a_reply_of_100_kb_is_cut_into_pieces(tmp_path: Path) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        await answered(play, "Talk", ["lorem ipsum "] * 8500)
        answer = play.screen.query_one(Answer)
        pieces = [piece.source for piece in answer.query(".piece").results() if hasattr(piece, "source")]
        assert "".join(pieces) == "lorem ipsum " * 8500
        assert max(map(len, pieces)) <= 1200


@pytest.mark.parametrize("leave", ["ctrl+q", "/exit"])
async def test_leaving(tmp_path: Path, leave: str) -> None:
    fake = backend(tmp_path)
    async with stage(fake) as play:
        await play.until_screen(Chat)
        if leave.startswith("/"):
            await play.say(leave)
        else:
            await play.pilot.press(leave)
        await play.until(lambda: not play.pilot.app.is_running)


async def test_another_model(tmp_path: Path) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)
        await play.say("/model mixtral-8x22b")
        await play.until(lambda: len(play.backend.sessions) == 2)
        await play.until_words("experts")
        await play.say("/model")
        await play.until_screen(Picker)


async def test_errors_of_the_engine_before_a_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(backend(tmp_path)) as play:
        await play.until_screen(Chat)

        def broken(messages: object) -> int:
            raise EngineError("The engine does not answer.")

        monkeypatch.setattr(play.session, "count_tokens", broken)
        await play.say("Hi")
        await play.until_told("The engine does not answer.")
        assert play.composer.text == "Hi"
        await play.pilot.press("enter")
        await play.until(lambda: len(play.backend.sessions) == 2)
        await play.until_words("complete")
