"""A conversation as OpenAI's clients send it."""

from __future__ import annotations

from runner.api.errors import invalid, no_text
from runner.api.fields import Fields
from runner.api.reading import message_of
from runner.types.generation import Message

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


def read_messages(fields: Fields, most: int) -> tuple[Message, ...]:
    """The conversation in `messages`; what a model cannot be given is refused by name."""
    speakers: dict[str, str | None] = {}
    found = tuple(_message(one, most, speakers) for one in fields.objects("messages", most))
    if not found:
        raise invalid("messages", "there are none.")
    return found


def _message(one: Fields, most: int, speakers: dict[str, str | None]) -> Message:
    """`speakers` have spoken before, by their role."""
    role = one.needed_word("role", _ROLES)
    name = one.text("name")
    if role != "tool" and speakers.setdefault(role, name) != name:  # a tool's call has its name
        raise invalid(one.place("name"), "models are not told who of several speaks; one name for each role is taken.")
    said = {
        "role": _ROLES[role],
        "content": _content(one.parts("content", most)),
        "reasoning_content": one.text("reasoning_content"),
        "tool_calls": one.take("tool_calls"),
        "tool_call_id": one.text("tool_call_id"),
    }
    one.idle("refusal", "annotations")  # what servers add to their answers comes back with them
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
