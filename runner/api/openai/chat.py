"""`/v1/chat/completions`."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runner.api.asked import Asked, Piece, Whole
from runner.api.desk import Desk
from runner.api.fields import Fields
from runner.api.openai import settings
from runner.api.openai.envelope import EventWriter, Head, Json, read_streaming
from runner.api.openai.messages import read_messages
from runner.api.openai.usage import finish_of, logprobs_json, usage_json
from runner.types.generation import Chunk
from runner.types.tools_json import calls_json, deltas_json


async def complete(desk: Desk, request: Request) -> Response:
    """An answer to a conversation, whole or in pieces."""
    fields = Fields(await desk.read(request))
    is_streamed, with_usage = read_streaming(fields)
    asked = read_chat(fields, desk)
    if is_streamed:
        return await desk.stream(asked, ChatWriter(asked, with_usage), request.receive)
    answers = await desk.whole(asked, request.receive)
    return JSONResponse(_whole_json(asked, answers))


def read_chat(fields: Fields, desk: Desk) -> Asked:
    """The request; what is not understood or cannot be honoured is refused by its name."""
    sampling = settings.read_settings(fields, desk.sampling)
    sampling = settings.read_limit(fields, sampling, "max_tokens", "max_completion_tokens")
    sampling, thinks = settings.read_effort(fields, sampling)
    constraint = settings.read_constraint(fields, desk.limits.schema)
    sampling = settings.read_tools(fields, sampling, constraint, desk.limits)
    asked = Asked(
        model=fields.text("model") or desk.pool.names.default,
        messages=read_messages(fields, desk.limits.messages),
        sampling=settings.read_logprobs(fields, sampling),
        constraint=constraint,
        thinks=thinks,
        count=fields.whole("n", 1, desk.limits.answers) or 1,
    )
    fields.only("modalities", ["text"])
    fields.only("verbosity", "medium")
    fields.done()
    return asked


def _whole_json(asked: Asked, answers: list[Whole]) -> Json:
    wants_logprobs = asked.sampling.logprobs is not None
    return {
        **Head(asked.model, "chatcmpl").json("chat.completion"),
        "choices": [
            {
                "index": index,
                "message": _message(one),
                "logprobs": logprobs_json(one.logprobs, wants_logprobs),
                "finish_reason": finish_of(one.last),
            }
            for index, one in enumerate(answers)
        ],
        "usage": usage_json(one.last for one in answers),
    }


def _message(one: Whole) -> Json:
    reasoning = {"reasoning_content": one.reasoning} if one.reasoning else {}
    calls = {"tool_calls": calls_json(one.calls)} if one.calls else {}
    return {"role": "assistant", "content": None if calls and not one.text else one.text, **reasoning, **calls}


class ChatWriter(EventWriter):
    """Events of `chat.completion.chunk`."""

    def __init__(self, asked: Asked, with_usage: bool) -> None:
        super().__init__(Head(asked.model, "chatcmpl").json("chat.completion.chunk"), with_usage)
        self._wants_logprobs = asked.sampling.logprobs is not None

    def piece(self, piece: Piece) -> Iterable[bytes]:
        """A delta; where the model has closed what it never opened, `recast` says that all before was thinking."""
        chunk, is_first = piece.chunk, piece.index not in self._last
        if not (chunk.says_something or chunk.logprobs or chunk.finish):
            return
        self._last[piece.index] = chunk
        delta: Json = {"role": "assistant", "content": ""} if is_first else {}
        if chunk.text:
            delta["content"] = chunk.text
        if chunk.reasoning:
            delta["reasoning_content"] = chunk.reasoning
        if chunk.calls:
            delta["tool_calls"] = deltas_json(chunk.calls)
        if chunk.recast:
            delta["recast"] = True
        yield self._event(self._choice(piece.index, delta, chunk))

    def _choice(self, index: int, delta: Json, chunk: Chunk) -> Json:
        logprobs = logprobs_json(chunk.logprobs, self._wants_logprobs)
        return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_of(chunk)}
