"""Conversations from files: our own, and lists of messages as other programs write them. Edge: disk."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.errors import UsageError
from runner.storage.conversations import DAMAGE, ConversationLog, ConversationStore, read
from runner.storage.text_files import text_of
from runner.types.conversation import Conversation, Turn
from runner.types.tools_json import read_calls

_SYSTEM = ("system", "developer")


def conversations_in(path: Path) -> list[Conversation]:
    """All that the file holds: one of our own, `{"messages": [...]}`, a list of such, or a list of messages.

    Raises UsageError.
    """
    text = text_of(path)
    try:
        found = [_conversation(one) for one in _objects(json.loads(text))]
    except DAMAGE:
        found = [read(text.splitlines())]
    if not all(one.turns for one in found) or not found:
        raise UsageError(
            f"{path} holds no conversation that can be read: {{'messages': [{{'role', 'content'}}]}} is one."
        )
    return found


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list) and value and all("messages" in one for one in value):
        yield from value
    else:
        yield value if isinstance(value, dict) else {"messages": value}


def _conversation(one: dict[str, Any]) -> Conversation:
    """Raises one of DAMAGE."""
    turns = [_turn(message) for message in one["messages"]]
    system = str(one.get("system") or "")
    if turns and turns[0].role in _SYSTEM:
        system, turns = turns[0].text, turns[1:]
    model, name = str(one.get("model") or "imported"), str(one.get("name") or "")
    return Conversation(model, system, name, tuple(turns))


def _turn(message: dict[str, Any]) -> Turn:
    calls = read_calls(message.get("tool_calls") or ())
    role, content = message["role"], message.get("content") if calls else message["content"]
    if role not in ("user", "assistant", "tool", *_SYSTEM):
        raise ValueError(f"not a role of a conversation: {role!r}")
    if isinstance(content, list):
        content = "\n\n".join(part["text"] for part in content)
    reasoning, note = (str(message.get(key) or "") for key in ("reasoning", "note"))
    note = note or ("imported" if role == "assistant" else "")
    return Turn(str(role), str(content or ""), reasoning, note, calls, str(message.get("tool_call_id") or ""))


def add(store: ConversationStore, conversation: Conversation) -> ConversationLog:
    """Keep it as a new one. OSError as of the disk."""
    log = store.new(conversation.model, conversation.system)
    if conversation.name:
        log.rename(conversation.name)
    for turn in conversation.turns:
        log.add(turn)
    log.close()
    return log
