"""What a chat template is to those who use one, and how a message looks to it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol

from runner.types.generation import Message
from runner.types.tools import ToolCall, read_arguments

Said = dict[str, Any]
"""A message as templates read it."""
_FIXED = "length != 9"  # Mistral's templates
_REASONING = ("reasoning_content", "reasoning", "thinking")
_THINKING = "thinking"
_AS_PART = "part"
_TYPE_OF_PART = re.compile(r"""type["'\]]*\s*==\s*["']thinking["']""")  # Ministral's, Magistral's


class Renderer(Protocol):
    """A chat template."""

    @property
    def text(self) -> str:
        """Its source."""

    @property
    def reads(self) -> frozenset[str]:
        """The names that it reads and does not set first."""

    def render(self, messages: Sequence[Said], variables: Mapping[str, object]) -> str:
        """The prompt, ready for the assistant's answer. ValueError where it refuses."""


def said(messages: Sequence[Message], template: str, *, in_parts: bool, in_text: bool = False) -> list[Said]:
    """Messages for a template; `in_parts`: each content a list of parts of which ours is text.

    `in_text`: arguments of calls are JSON text, else they are values.
    The thinking of earlier answers goes by the name that the template speaks of: whether it stays is for it to say.
    """
    name = _name_of_thinking(template)
    found = [_said(message, name, in_parts=in_parts) for message in messages]
    ids = _Ids(fixed=_FIXED in template)
    for message, one in zip(messages, found, strict=True):
        if message.calls:
            one["tool_calls"] = [_call(call, ids.of(call), in_text=in_text) for call in message.calls]
        elif message.role == "tool":
            one["tool_call_id"], one["name"] = ids.answered(message.answers)
    return found


def _name_of_thinking(template: str) -> str | None:
    """The field of a message that a template reads thinking from, or that it is a part of the content.

    What it reads goes before what it speaks of: gpt-oss reads `thinking`, and speaks of `reasoning_effort`.
    """
    read = next((one for one in _REASONING if re.search(rf"""\.{one}\b|["']{one}["']""", template)), None)
    if read in (None, _THINKING) and _TYPE_OF_PART.search(template):
        return _AS_PART
    return read or next((one for one in _REASONING if one in template), None)


class _Ids:
    """Which result is of which call; `fixed`: ids are nine letters and digits, else they are as they came."""

    def __init__(self, *, fixed: bool) -> None:
        self._fixed = fixed
        self._open: dict[str, str] = {}  # id -> name of the function

    def of(self, call: ToolCall) -> str:
        """The id of a call, which has no result yet."""
        self._open[call.id] = call.name
        return self._shown(call.id)

    def answered(self, answers: str | None) -> tuple[str, str]:
        """The id and the function of a result."""
        key = next(iter(self._open), "") if answers is None else answers
        return self._shown(key), self._open.pop(key, "")

    def _shown(self, key: str) -> str:
        if not self._fixed or re.fullmatch("[A-Za-z0-9]{9}", key):
            return key
        return blake2b(key.encode("utf-8", "replace"), digest_size=5).hexdigest()[:9]


def _call(call: ToolCall, key: str, *, in_text: bool) -> Said:
    arguments = call.arguments if in_text else read_arguments(call.arguments)
    return {"id": key, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _said(message: Message, name: str | None, *, in_parts: bool) -> Said:
    parts = [{"type": "text", "text": message.content}]
    found: Said = {"role": message.role, "content": parts if in_parts else message.content}
    if not name or not message.reasoning:
        return found
    if name == _AS_PART:
        thinking = {"type": _THINKING, _THINKING: message.reasoning}
        return {**found, "content": [thinking, *parts] if message.content else [thinking]}
    return {**found, name: message.reasoning}
