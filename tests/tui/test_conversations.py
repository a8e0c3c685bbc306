"""Conversations that the screen keeps: resumed, renamed, copied, branched and made short."""

import threading
from pathlib import Path

import pytest
from textual.widgets import OptionList

from runner.storage.conversations import ConversationStore
from runner.types.generation import Message
from scripts.draw.scripted import turn
from tests.support.screens import DAY, answered, kept, running, scripted
from tui.screens.branch_list import BranchList
from tui.screens.chat import Chat
from tui.screens.conversation_list import ConversationList
from tui.screens.dialogs import Ask, LineDialog
from tui.screens.find import Find
from tui.widgets.composer import Composer
from tui.widgets.turn import AnswerView


async def test_conversations_are_kept_resumed_renamed_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "About GGUF", ["A file."])
        await app.pilot.press("escape", "N", *(["backspace"] * len("About GGUF")), *"GGUF basics", "enter", "i")
        await app.until(lambda: "GGUF basics" in app.shown("#head"))
        await app.begin_anew()
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


async def test_what_is_read_is_kept_by_the_name_that_the_file_got(tmp_path: Path) -> None:
    """Another has taken the one that a new conversation was to have."""
    service = scripted(tmp_path)
    store = ConversationStore(service.folder, lambda: DAY)
    taken = store.new("smollm2-135m Q4_1")
    taken.say("user", "Mine")
    async with running(service) as app:
        await app.until_screen(Chat)
        await answered(app, "Yours", ["one"])
        await answered(app, "And more", ["two"])
    [named] = [str(log.path) for log in store.all() if log.path != taken.path]
    assert service.recalled == [str(taken.path), named] and service.remembered == [named]
    taken.close()


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


async def test_a_conversation_that_another_window_holds_goes_on_as_a_copy(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "Mine", ["one"])
        await app.begin_anew()
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
        await app.begin_anew()
        await answered(app, "Something else", ["Nothing."])
        await app.pilot.press("f3")
        await app.until_screen(ConversationList)
        await app.pilot.press("slash", *"gulls")
        await app.until(lambda: app.screen.query_one(OptionList).option_count == 1)
        await app.until_words("And gulls?")
        await app.pilot.press("enter", "enter")
        await app.until_screen(Chat)
        await app.until_words("They cry.")


async def test_a_message_that_was_on_its_way_is_answered_before_another_conversation_opens(tmp_path: Path) -> None:
    """Enter and F3 typed at once: the list is there before the message is taken."""
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "Mine", ["one"])
        await app.begin_anew()
        gate = app.session.gate = threading.Semaphore(0)
        app.session.script = [turn(["two"])]
        composer, asked = app.composer, len(app.session.asked)
        await app.pilot.press("f3")
        await app.until_screen(ConversationList)
        await app.until_words("Mine")
        composer.post_message(Composer.Sent("Yours", "Yours"))
        await app.until(lambda: len(app.session.asked) > asked)
        await app.pilot.press("enter")
        await app.until_told("still answering")
        gate.release(100)
        await app.until(lambda: app.shown(".note").endswith("complete"))
        assert kept(app.service) == [("user", "Yours"), ("assistant", "two")]


async def test_nothing_of_an_earlier_conversation_steers_the_terminal(tmp_path: Path) -> None:
    """Not where it is read, and not where it is written anew."""
    foreign = "\x1b]0;evil\x07\x9b31m\u202e words"
    service = scripted(tmp_path)
    earlier = ConversationStore(service.folder).new("smollm2-135m Q4_1", foreign)
    earlier.rename(foreign)
    for role in ("user", "assistant"):
        earlier.say(role, foreign)
    earlier.end(foreign)
    earlier.close()
    async with running(service, conversation=earlier.path) as app:

        def is_shown() -> bool:
            shown = app.words()
            assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(shown)
            return "]0;evil" in shown

        await app.until_screen(Chat)
        await app.until(is_shown)
        for key, screen in (("ctrl+b", Chat), ("E", Chat), ("f7", LineDialog), ("N", LineDialog)):
            await app.pilot.press("escape", "escape", key)
            await app.until_screen(screen)
            written = app.screen.query("Composer, Line").first()
            await app.until(lambda line=written: line.has_focus)  # type: ignore[misc]
            assert is_shown()
            await app.pilot.press("escape")
            await app.until_screen(Chat)


async def test_what_was_edited_is_edited_no_more_in_another_conversation(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "Mine", ["one"])
        await app.pilot.press("ctrl+b")
        await app.until_words("Editing question 1")
        await app.begin_anew()
        await app.until(lambda: "Editing" not in app.shown("#hint"))
