"""Tools on the screen: the model is told of them, its calls are shown, a person gives or declines what they bring."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Collapsible

from runner.report.document import to_markdown
from runner.storage.conversations import ConversationStore
from runner.storage.imports import add
from runner.types.conversation import DECLINED, Conversation, Turn
from runner.types.generation import Chunk, Finish, Message, Phase
from runner.types.sampling import Sampling
from runner.types.templating import Templating
from runner.types.tools import CallDelta, Tool, ToolCall
from scripts.draw.scripted import turn
from tests.support.screens import running, scripted
from tui.screens.calling import CallDialog, ToolsDialog
from tui.screens.chat import Chat
from tui.widgets.composer import Composer

TOOLS = [
    {"name": "get_weather", "description": "The weather of a city"},
    {"type": "function", "function": {"name": "now"}},
]
CALLS = (ToolCall("abcdefgh1", "get_weather", '{"city": "Rome"}'), ToolCall("abcdefgh2", "now", "{}"))


def calling(finish: Finish = Finish.CALLS) -> list[Chunk]:
    """An answer that calls both tools, in pieces."""
    deltas = [
        CallDelta(0, "abcdefgh1", "get_weather", '{"city": '),
        CallDelta(0, arguments='"Rome"}'),
        CallDelta(1, "abcdefgh2", "now", "{}"),
    ]
    *begun, last = turn(["Let", " me", " see."])
    return [*begun, *(Chunk(Phase.DECODE, calls=(delta,)) for delta in deltas), replace(last, finish=finish)]


async def test_results_are_typed_in_or_declined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tools.json").write_text(json.dumps(TOOLS))
    Path("rome.txt").write_text("21 degrees\nsun\n")
    service = scripted(tmp_path)
    service.script += [calling(), turn(["Sunny."])]
    async with running(service) as app:
        await app.until_screen(Chat)
        await app.say("/tools @tools.json")
        await app.until_words("may call 2 tools: get_weather, now.")
        await app.say("Rome?")
        await app.until_screen(CallDialog)
        await app.until_words("The model calls get_weather (1 of 2)")
        assert '"city": "Rome"' in app.words()
        app.screen.query_one(Composer).put("@rome.txt")
        await app.pilot.press("enter")
        await app.until_words("The model calls now (2 of 2)")
        await app.pilot.press("escape")
        await app.until_words("Sunny.")
        (_, first, _), (messages, _, _) = app.session.asked
        assert [tool.name for tool in first.templating.tools] == ["get_weather", "now"]
        assert messages == [
            Message("user", "Rome?"),
            Message("assistant", "Let me see.", calls=CALLS),
            Message("tool", "21 degrees\nsun\n", answers="abcdefgh1"),
            Message("tool", DECLINED, answers="abcdefgh2"),
        ]
        assert '→ {"name": "get_weather", "arguments": {"city": "Rome"}}' in app.words()
        assert [str(one.title) for one in app.screen.query(".result").results(Collapsible)] == [
            "get_weather → 21 degrees sun",
            f"now → {DECLINED}",
        ]
        await app.say("/model mixtral-8x22b")
        await app.until(lambda: len(service.sessions) > 1)
        await app.until_words("now → The user")  # as it was, with another model
        await app.say("/tools")
        await app.until_screen(ToolsDialog)
        assert "get_weather  The weather of a city" in app.words()
        await app.pilot.press(*"no.json", "enter")
        await app.until_words("no.json cannot be read")
        await app.pilot.press(*(["backspace"] * 7), *"off", "enter")
        await app.until_words("told of no tools")


async def test_calls_wait_for_results_across_a_restart_and_go_on(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    log = ConversationStore(tmp_path / "conversations").new("model")
    for one in (Turn("user", "Rome?"), Turn("assistant", "", note="calls", calls=CALLS[:1])):
        log.add(one)
    log.close()
    async with running(service, conversation=log.path) as app:
        await app.until_words("→ {")
        await app.pilot.press("ctrl+g")
        await app.until_screen(CallDialog)
        await app.pilot.press(*"rain", "enter")
        await app.until(lambda: len(app.session.asked) == 1)
        assert app.session.asked[0][0][-1] == Message("tool", "rain", answers="abcdefgh1")


async def test_calls_of_an_answer_that_was_cut_off_are_not_kept(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    service.script += [calling(Finish.LENGTH), turn(["Well."])]
    async with running(service) as app:
        await app.until_screen(Chat)
        await app.say("Rome?")
        await app.until_words("stopped at max-tokens")
        await app.say("And?")
        await app.until_words("Well.")
        assert app.session.asked[1][0][1] == Message("assistant", "Let me see.")


async def test_what_turns_out_to_be_thinking_moves_there(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    *begun, last = turn(["So", " far", "It is 4."])
    begun[-1] = replace(begun[-1], recast=True)
    service.script.append([*begun, last])
    async with running(service) as app:
        await app.until_screen(Chat)
        await app.say("2+2?")
        await app.until_words("complete")
        assert "It is 4." in app.words()
        assert "So far" not in app.words()  # it is folded
        await app.pilot.press("escape", "z")
        await app.until_words("So far")
        await app.pilot.press("i")
        await app.say("Why?")
        await app.until(lambda: len(app.session.asked) == 2)
        assert app.session.asked[1][0][1] == Message("assistant", "It is 4.", "So far")


def test_a_call_without_a_result_was_declined_by_whoever_went_on() -> None:
    turns = (Turn("user", "Rome?"), Turn("assistant", calls=CALLS), Turn("tool", "sun", answers="abcdefgh1"))
    waiting = Conversation(turns=turns)
    assert waiting.waiting == CALLS[1:]
    gone_on = replace(waiting, turns=(*turns, Turn("user", "Thanks.")))
    assert gone_on.waiting == ()
    assert gone_on.messages[-2:] == (Message("tool", DECLINED, answers="abcdefgh2"), Message("user", "Thanks."))


def test_a_conversation_with_calls_is_kept_exported_and_written(tmp_path: Path) -> None:
    turns = (Turn("user", "Rome?"), Turn("assistant", "", "hm", "n", CALLS), Turn("tool", "sun", answers="abcdefgh1"))
    store = ConversationStore(tmp_path)
    log = add(store, Conversation("model", turns=turns))
    assert store.open(log.path).conversation.turns == turns
    assert '{"name": "get_weather", "arguments": {"city": "Rome"}}' in to_markdown(log.conversation)
    assert "## Result of a call\n\nsun" in to_markdown(log.conversation)


async def test_tools_and_a_schema_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "tools.json").write_text(json.dumps(TOOLS))
    async with running(scripted(tmp_path), sampling=Sampling(grammar='root ::= "x"')) as app:
        await app.until_screen(Chat)
        await app.say(f"/tools {tmp_path / 'tools.json'}")
        await app.until_told("Tools exclude --schema")


async def test_tools_of_the_command_are_shown(tmp_path: Path) -> None:
    asked = Sampling(templating=Templating(tools=(Tool("now"),)))
    async with running(scripted(tmp_path), sampling=asked, size=(80, 24)) as app:
        await app.until_screen(Chat)
        await app.pilot.press("escape", "T")
        await app.until_screen(ToolsDialog)
        assert "now" in app.shown("#reading")
