"""A conversation as OpenAI's clients send it."""

from __future__ import annotations

from runner.api.errors import invalid, no_text
from runner.api.fields import Fields
from runner.api.reading import message_of
from runner.types.generation import Message

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


def read_messages(fields: Fields, most: int) -> tuple[Message, ...]:
    """The conversation in `messages`; what a model cannot be given is refused by name."""
    found = tuple(_message(one, most) for one in fields.objects("messages", most))
    if not found:
        raise invalid("messages", "there are none.")
    return found


def _message(one: Fields, most: int) -> Message:
    role = one.needed_word("role", _ROLES)
    said = {
        "role": _ROLES[role],
        "content": _content(one.parts("content", most)),
        "reasoning_content": one.text("reasoning_content"),
        "tool_calls": one.take("tool_calls"),
        "tool_call_id": one.text("tool_call_id"),
    }
    one.idle("refusal", "annotations")  # what servers add to their answers comes back with them
    if role == "tool":
        one.idle("name")  # of the function, which the call has
    return message_of(one, said)


def _content(parts: str | list[Fields]) -> str:
    """A text, or parts that are all texts."""
    return parts if isinstance(parts, str) else "".join(map(_part, parts))


def _part(part: Fields) -> str:
    kind = part.needed_text("type")
    if kind != "text":
        raise no_text(part.place("type"), kind)
    text = part.needed_text("text")
    part.done()
    return text
