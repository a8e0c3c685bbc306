"""Conversations that are kept, in words and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.report.table import Table
from runner.report.words import one_line, plural
from runner.types.conversation import Conversation, Listed
from runner.types.tools_json import calls_json

Json = dict[str, Any]

OPEN_ELSEWHERE = "This conversation is open in another window. What you say here goes into a copy of it."


def unsaved(reason: str | None) -> str:
    """The disk refuses."""
    return f"The conversation could not be saved: {reason}."


def damaged(path: Path, lines: int) -> str:
    """Some of the file cannot be read."""
    return f"Damaged in this conversation, and kept: {plural(lines, 'line')} of {path}."


def going_on(conversation: Conversation) -> str:
    """Which one it is that goes on."""
    facts = f"{plural(len(conversation.turns), 'turn')}, {one_line(conversation.model)}"
    return f"Going on with {one_line(conversation.title)!r}: {facts}."


def conversation_json(conversation: Conversation) -> Json:
    """All of it, for other programs: `conversation export --json`; `conversation import` reads the same."""
    return {
        "name": conversation.name or None,
        "title": conversation.title,
        "model": conversation.model,
        "system": conversation.system,
        "messages": [
            {
                "role": turn.role,
                "content": turn.text,
                "reasoning": turn.reasoning or None,
                "note": turn.note or None,
                "tool_calls": calls_json(turn.calls) or None,
                "tool_call_id": turn.answers or None,
            }
            for turn in conversation.turns
        ],
    }


def listed_lines(listed: Sequence[Listed]) -> list[str]:
    """`list conversations`: a row for each, and below it the line that was looked for."""
    rows = [
        (
            one_line(one.conversation.title),
            _day(one.used),
            str(len(one.conversation.turns)),
            one_line(one.conversation.model),
        )
        for one in listed
    ]
    head, *lines = Table(("conversation", "last used", "turns", "model"), rows, right=(2,)).lines()
    below = ([f"    {one_line(one.excerpt)}"] if one.excerpt else [] for one in listed)
    return [head, *(line for row, more in zip(lines, below, strict=True) for line in (row, *more))]


def _day(used: float) -> str:
    return datetime.fromtimestamp(used).strftime("%Y-%m-%d %H:%M")


def listed_json(one: Listed) -> Json:
    """A row for programs."""
    conversation = one.conversation
    return {
        "name": conversation.title,
        "file": str(one.path),
        "model": conversation.model,
        "turns": len(conversation.turns),
        "used": round(one.used, 3),
        "excerpt": one.excerpt or None,
        "turn": one.turn,
    }


def where_json(path: Path, conversation: Conversation) -> Json:
    """Where an answer was kept."""
    return {"name": conversation.title, "file": str(path)}


def imported_line(conversation: Conversation) -> str:
    """It is kept here."""
    return f"{one_line(conversation.title)}: {plural(len(conversation.turns), 'turn')}"


def removal_question(conversation: Conversation) -> str:
    """Before one is removed for good."""
    return f"Remove {one_line(conversation.title)!r}, {plural(len(conversation.turns), 'turn')}, for good?"
