"""Conversations from files: what was exported comes back, and so does what other programs write."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.errors import UsageError
from runner.report.conversation import conversation_json
from runner.storage.conversations import ConversationStore
from runner.storage.imports import add, conversations_in
from runner.types.conversation import Conversation, Turn

WHOLE = Conversation(
    "smollm2-135m Q4_1",
    "Be brief.",
    "ada",
    (Turn("user", "Who was Ada?"), Turn("assistant", "A mathematician.", "They ask about Ada.", "4 tokens")),
)
ASKED = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Good morning."}]
TURNS = (Turn("user", "Hi"), Turn("assistant", "Good morning.", note="imported"))


@pytest.fixture
def store(tmp_path: Path) -> ConversationStore:
    return ConversationStore(tmp_path / "conversations")


def read(folder: Path, value: Any) -> list[Conversation]:
    path = folder / "in.json"
    path.write_text(json.dumps(value))
    return conversations_in(path)


def test_what_was_exported_comes_back_whole(store: ConversationStore, tmp_path: Path) -> None:
    (again,) = read(tmp_path, conversation_json(WHOLE))
    log = add(store, again)
    assert again == WHOLE
    assert store.open(log.path).conversation == WHOLE
    assert conversations_in(log.path) == [WHOLE]


@pytest.mark.parametrize(
    ("value", "system"),
    [
        (ASKED, ""),
        ({"messages": ASKED, "temperature": 1}, ""),
        ({"messages": [{"role": "system", "content": "Be kind."}, *ASKED]}, "Be kind."),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, ASKED[1]]}, ""),
    ],
)
def test_messages_of_other_programs(value: Any, system: str, tmp_path: Path) -> None:
    assert read(tmp_path, value) == [Conversation("imported", system, "", TURNS)]


def test_a_list_of_conversations(tmp_path: Path) -> None:
    found = read(tmp_path, [{"messages": ASKED}, {"messages": ASKED, "name": "two"}])
    assert [one.title for one in found] == ["Hi", "two"]


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        5,
        None,
        "text",
        {"messages": []},
        {"messages": [{"role": "system", "content": "alone"}]},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
        {"messages": 5},
        [{"messages": ASKED}, 5],
    ],
)
def test_what_is_no_conversation(value: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no conversation that can be read"):
        read(tmp_path, value)
