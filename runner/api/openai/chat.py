"""`/v1/chat/completions`."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runner.api.asked import Asked, Piece, Whole
from runner.api.desk import Desk
from runner.api.errors import Failure
from runner.api.fields import Fields
from runner.api.openai import settings
from runner.api.openai.errors import error_json
from runner.api.openai.messages import read_messages
from runner.api.openai.usage import FINISHES, logprobs_json, usage_json
from runner.api.streams import EVENTS, event
from runner.types.generation import Chunk

Json = dict[str, Any]


async def complete(desk: Desk, request: Request) -> Response:
    """An answer to a conversation, whole or in pieces."""
    fields = Fields(await desk.read(request))
    is_streamed, with_usage = read_streaming(fields)
    asked = read_chat(fields, desk)
    if is_streamed:
        return await desk.stream(asked, ChatWriter(asked, with_usage), request.receive)
    answers = await desk.whole(asked, request.receive)
    return JSONResponse(_whole_json(asked, answers))


def read_streaming(fields: Fields) -> tuple[bool, bool]:
    """Whether pieces are wanted, and whether the numbers behind the last."""
    is_streamed, options = fields.flag("stream"), fields.inner("stream_options")
    with_usage = False
    if options is not None:
        with_usage = options.flag("include_usage")
        options.idle("include_obfuscation")  # hides lengths from who listens to encrypted traffic; this is not
        options.done()
    return is_streamed, with_usage


def read_chat(fields: Fields, desk: Desk) -> Asked:
    """The request; what is not understood or cannot be honoured is refused by its name."""
    sampling = settings.read_settings(fields, desk.sampling)
    sampling = settings.read_limit(fields, sampling, "max_tokens", "max_completion_tokens")
    sampling = settings.read_effort(fields, sampling)
    asked = Asked(
        model=fields.text("model") or "",
        messages=read_messages(fields, desk.limits.messages),
        sampling=settings.read_logprobs(fields, sampling),
        constraint=settings.read_constraint(fields, desk.limits.schema),
        count=fields.whole("n", 1, desk.limits.answers) or 1,
    )
    fields.only("tools", [])
    fields.only("tool_choice", "none", "auto")
    fields.only("modalities", ["text"])
    fields.done()
    return asked


@dataclass(frozen=True, slots=True)
class _Head:
    """What every object of one request begins with."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def json(self, kind: str) -> Json:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def _whole_json(asked: Asked, answers: list[Whole]) -> Json:
    wants_logprobs = asked.sampling.logprobs is not None
    return {
        **_Head(asked.model).json("chat.completion"),
        "choices": [
            {
                "index": index,
                "message": _message(one),
                "logprobs": logprobs_json(one.logprobs, wants_logprobs),
                "finish_reason": _finish(one.last),
            }
            for index, one in enumerate(answers)
        ],
        "usage": usage_json(one.last for one in answers),
    }


def _message(one: Whole) -> Json:
    reasoning = {"reasoning_content": one.reasoning} if one.reasoning else {}
    return {"role": "assistant", "content": one.text, **reasoning}


def _finish(last: Chunk | None) -> str | None:
    return FINISHES.get(last.finish) if last is not None and last.finish is not None else None


class ChatWriter:
    """Events of `chat.completion.chunk`, [DONE] at last."""

    media_type = EVENTS

    def __init__(self, asked: Asked, with_usage: bool) -> None:
        self._head = _Head(asked.model).json("chat.completion.chunk")
        self._with_usage, self._wants_logprobs = with_usage, asked.sampling.logprobs is not None
        self._last: dict[int, Chunk] = {}

    def piece(self, piece: Piece) -> Iterable[bytes]:
        """A delta; where the model has closed what it never opened, `recast` says that all before was thinking."""
        chunk, is_first = piece.chunk, piece.index not in self._last
        if not (chunk.text or chunk.reasoning or chunk.logprobs or chunk.finish):
            return
        self._last[piece.index] = chunk
        delta: Json = {"role": "assistant", "content": ""} if is_first else {}
        if chunk.text:
            delta["content"] = chunk.text
        if chunk.reasoning:
            delta["reasoning_content"] = chunk.reasoning
        if chunk.recast:
            delta["recast"] = True
        yield self._event(self._choice(piece.index, delta, chunk))

    def end(self) -> Iterable[bytes]:
        """The numbers, where they are wanted."""
        if self._with_usage:
            yield event({**self._head, "choices": [], "usage": usage_json(self._last.values())})
        yield event("[DONE]")

    def failed(self, failure: Failure) -> Iterable[bytes]:
        """The error in the place of more."""
        yield event(error_json(failure))

    def _choice(self, index: int, delta: Json, chunk: Chunk) -> Json:
        logprobs = logprobs_json(chunk.logprobs, self._wants_logprobs)
        return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": _finish(chunk)}

    def _event(self, choice: Json) -> bytes:
        usage = {"usage": None} if self._with_usage else {}
        return event({**self._head, "choices": [choice], **usage})
