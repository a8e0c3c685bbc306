"""The items of an answer: thinking, a message, calls; and what all states of one response have in common."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from runner.api.asked import Asked, Whole
from runner.api.openai.envelope import Json
from runner.api.openai.usage import likely
from runner.types.generation import Chunk, Finish, TokenLogprobs
from runner.types.tools import ToolCall

_LETTERS = {"message": "msg", "reasoning": "rs", "function_call": "fc"}
# What a response says again of its request, and what it says where that said nothing.
_ECHOED: Mapping[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "service_tier": "default",
    "store": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": None,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}


def id_of(kind: str) -> str:
    """A new one."""
    return f"{kind}_{uuid4().hex}"


@dataclass(slots=True)
class Item:
    """One of them; `text` is that of thinking or of a message, or the arguments of a call with `name` and `call_id`."""

    kind: str
    text: str = ""
    name: str = ""
    call_id: str = ""
    logprobs: tuple[TokenLogprobs, ...] = ()
    id: str = ""

    def __post_init__(self) -> None:
        self.id = self.id or id_of(_LETTERS[self.kind])

    def part(self) -> Json:
        """What is in it, of which there is one."""
        if self.kind == "reasoning":
            return {"type": "reasoning_text", "text": self.text}
        return {"type": "output_text", "text": self.text, "annotations": [], "logprobs": likely(self.logprobs)}

    def json(self, status: str, *, is_sealed: bool) -> Json:
        """As it stands; `is_sealed`: thinking is also in the form in which clients return it that are to keep none."""
        head: Json = {"id": self.id, "type": self.kind, "status": status}
        if self.kind == "function_call":
            return {**head, "call_id": self.call_id, "name": self.name, "arguments": self.text}
        content = [self.part()] if self.text else []
        if self.kind == "message":
            return {**head, "role": "assistant", "content": content}
        sealed = {"encrypted_content": b64encode(self.text.encode()).decode()} if is_sealed and self.text else {}
        return {**head, "summary": [], "content": content, **sealed}


def item_of(call: ToolCall) -> Item:
    """A call."""
    return Item("function_call", call.arguments, call.name, call.id)


def items_of(whole: Whole, *, with_logprobs: bool) -> list[Item]:
    """Those of a whole answer."""
    logprobs = whole.logprobs if with_logprobs else ()
    return [
        *([Item("reasoning", whole.reasoning)] if whole.reasoning else ()),
        *([Item("message", whole.text, logprobs=logprobs)] if whole.text else ()),
        *map(item_of, whole.calls),
    ]


@dataclass(frozen=True, slots=True)
class Envelope:
    """Of one response; `said` is the request."""

    asked: Asked
    said: Mapping[str, Any]
    is_sealed: bool
    id: str = field(default_factory=lambda: id_of("resp"))
    created: int = field(default_factory=lambda: int(time.time()))

    def begun(self) -> Json:
        """Nothing is said yet."""
        return self._json("in_progress", [], None)

    def ended(self, items: Sequence[Item], last: Chunk | None) -> Json:
        """All is said, or as much as there was room for: then it says why."""
        is_cut = last is not None and last.finish is Finish.LENGTH
        statuses = ["completed"] * len(items)
        if is_cut and items:
            statuses[-1] = "incomplete"
        output = [one.json(how, is_sealed=self.is_sealed) for one, how in zip(items, statuses, strict=True)]
        why = {"incomplete_details": {"reason": "max_output_tokens"}} if is_cut else {}
        return {**self._json("incomplete" if is_cut else "completed", output, last), **why}

    def failed(self, items: Sequence[Item], error: Json) -> Json:
        """There is no more to come."""
        output = [one.json("incomplete", is_sealed=self.is_sealed) for one in items]
        return {**self._json("failed", output, None), "error": error}

    def _json(self, status: str, output: list[Json], last: Chunk | None) -> Json:
        echoed = {name: usual if (value := self.said.get(name)) is None else value for name, usual in _ECHOED.items()}
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self.asked.model,
            "output": output,
            **echoed,
            "usage": None if last is None else _usage(last),
        }


def _usage(last: Chunk) -> Json:
    return {
        "input_tokens": last.prompt_tokens,
        "input_tokens_details": {"cached_tokens": last.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": last.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": last.reasoning_tokens},
        "total_tokens": last.prompt_tokens + last.completion_tokens,
    }
