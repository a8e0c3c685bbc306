"""A conversation as items: messages, thinking, calls and what these have brought."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable

from runner.api.errors import invalid, no_text
from runner.api.fields import Fields
from runner.types.generation import Message
from runner.types.tools import ToolCall

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_TEXTS = ("input_text", "output_text")
_THOUGHTS = ("reasoning_text", "summary_text")
# What names an item, says how it came about, or came with an answer of a server; a cache needs no breakpoints.
_IDLE = ("id", "status", "phase", "caller", "annotations", "logprobs", "prompt_cache_breakpoint")


def read_input(fields: Fields, most: int) -> tuple[Message, ...]:
    """The turns in `input`; what a model cannot be given is refused by name."""
    said = fields.parts("input", most)
    if isinstance(said, str):
        return (Message("user", said),) if said else ()
    return joined(_read(one, most) for one in said)


def joined(found: Iterable[Message]) -> tuple[Message, ...]:
    """Thinking, a text and calls that stand behind each other are one turn of the assistant."""
    turns: list[Message] = []
    for one in found:
        if turns and _goes_on(turns[-1], one):
            before = turns[-1]
            reasoning = "\n\n".join(filter(None, (before.reasoning, one.reasoning)))
            turns[-1] = Message("assistant", before.content + one.content, reasoning or None, before.calls + one.calls)
        else:
            turns.append(one)
    return tuple(turns)


def _goes_on(before: Message, one: Message) -> bool:
    if (before.role, one.role) != ("assistant", "assistant"):
        return False
    return not one.content if _stage(one) == _stage(before) else _stage(one) > _stage(before)


def _stage(one: Message) -> int:
    """How far a turn of the assistant has come."""
    return 2 if one.calls else 1 if one.content else 0


def _read(item: Fields, most: int) -> Message:
    kind = item.text("type") or "message"
    match kind:
        case "message":
            message = _message(item, most)
        case "reasoning":
            message = Message("assistant", "", _thinking(item, most) or None)
        case "function_call":
            call = ToolCall(item.needed_text("call_id"), item.needed_text("name"), item.text("arguments") or "{}")
            message = Message("assistant", "", calls=(call,))
        case "function_call_output":
            item.idle("name")  # the call has it
            output = _words(item.parts("output", most), _TEXTS)
            message = Message("tool", output, answers=item.needed_text("call_id"))
        case _:
            raise invalid(item.place("type"), f"this server takes no items of the type {kind!r}.")
    item.idle(*_IDLE)
    item.done()
    return message


def _message(item: Fields, most: int) -> Message:
    role = item.needed_word("role", _ROLES)
    return Message(_ROLES[role], _words(item.parts("content", most), _TEXTS))


def _thinking(item: Fields, most: int) -> str:
    """What was thought, else what a client keeps instead, else what somebody has made of it."""
    words, summary = (_words(item.parts(name, most), _THOUGHTS) for name in ("content", "summary"))
    sealed = item.text("encrypted_content")
    try:
        opened = b64decode(sealed or "", validate=True).decode()
    except ValueError:
        if not words:
            raise invalid(
                item.place("encrypted_content"), "it is not from this server, which cannot read it."
            ) from None
        opened = ""
    return words or opened or summary


def _words(parts: str | list[Fields], kinds: tuple[str, ...]) -> str:
    return parts if isinstance(parts, str) else "".join(_text(part, kinds) for part in parts)


def _text(part: Fields, kinds: tuple[str, ...]) -> str:
    kind = part.needed_text("type")
    if kind not in kinds:
        raise no_text(part.place("type"), kind)
    text = part.needed_text("text")
    part.idle(*_IDLE)
    part.done()
    return text
