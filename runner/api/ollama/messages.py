"""A conversation as Ollama's clients send it."""

from __future__ import annotations

from typing import Any

from runner.api.errors import invalid
from runner.api.fields import Fields
from runner.api.reading import message_of
from runner.types.generation import Message

_ROLES = ("system", "user", "assistant", "tool")
_Calls = list[dict[str, Any]]


def read_messages(fields: Fields, most: int) -> tuple[Message, ...]:
    """The conversation in `messages`, which may be empty; what a model cannot be given is refused by name."""
    open_calls: _Calls = []
    return tuple(_message(one, open_calls) for one in fields.objects("messages", most))


def refuse_images(fields: Fields) -> None:
    """There is no model here that looks at them."""
    if fields.take("images"):
        raise invalid(fields.place("images"), "this server gives models text, and no images.")


def _message(one: Fields, open_calls: _Calls) -> Message:
    """`open_calls` have no result yet."""
    role = one.needed_word("role", _ROLES)
    refuse_images(one)
    said = {"role": role, "content": one.text("content") or "", "reasoning_content": one.text("thinking")}
    if role == "assistant" and (calls := one.take("tool_calls")):
        said["tool_calls"] = open_calls[:] = _numbered(calls)
    if role == "tool":
        said["tool_call_id"] = _answered(one, open_calls)
    return message_of(one, said)


def _numbered(calls: Any) -> Any:
    """Calls with ids, which Ollama's clients need not give them."""
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        return [{}]  # which is none, and is told so
    return [{**call, "id": call.get("id") or f"call_{number}"} for number, call in enumerate(calls)]


def _answered(one: Fields, open_calls: _Calls) -> str | None:
    """The call that a result is of: the one that it names, else the first without one of the function that it names."""
    number, name = one.text("tool_call_id"), one.text("tool_name") or one.text("name")
    one.idle("name")

    def is_meant(call: dict[str, Any]) -> bool:
        function = call.get("function")
        called = function.get("name") if isinstance(function, dict) else None
        return call["id"] == number if number else name is None or called == name

    found = next((call for call in open_calls if is_meant(call)), None)
    if found is None:
        return number
    open_calls.remove(found)
    return str(found["id"])
