"""A conversation as OpenAI's clients send it."""

from __future__ import annotations

from typing import Any

from models.errors import UsageError
from runner.api.errors import invalid
from runner.api.fields import Fields
from runner.types import tools_json
from runner.types.generation import Message

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


def read_messages(fields: Fields, most: int) -> tuple[Message, ...]:
    """The conversation in `messages`; what a model cannot be given is refused by name."""
    found = tuple(_message(one) for one in fields.objects("messages", most))
    if not found:
        raise invalid("messages", "there are none.")
    return found


def _message(one: Fields) -> Message:
    role = one.needed_text("role")
    if role not in _ROLES:
        raise invalid(one.place("role"), f"{role!r} is not one of {', '.join(_ROLES)}.")
    said = {
        "role": _ROLES[role],
        "content": _content(one),
        "reasoning_content": one.text("reasoning_content"),
        "tool_calls": one.take("tool_calls"),
        "tool_call_id": one.text("tool_call_id"),
    }
    one.idle("refusal", "annotations")  # what servers add to their answers comes back with them
    if role == "tool":
        one.idle("name")  # of the function, which the call has
    one.done()
    try:
        (message,) = tools_json.read_messages([said])
    except UsageError as error:
        raise invalid(one.place("tool_calls"), str(error)) from None
    return message


def _content(one: Fields) -> str:
    """A text, or parts that are all texts."""
    value: Any = one.take("content")
    if isinstance(value, str) or value is None:
        return value or ""
    if not isinstance(value, list):
        raise invalid(one.place("content"), "it is a text or a list of parts.")
    return "".join(_part(Fields(part, f"{one.place('content')}[{index}]")) for index, part in enumerate(value))


def _part(part: Fields) -> str:
    kind = part.needed_text("type")
    if kind != "text":
        raise invalid(part.place("type"), f"this model takes text, not {kind}.")
    text = part.needed_text("text")
    part.done()
    return text
