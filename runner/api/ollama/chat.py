"""`/api/chat`."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from runner.api.desk import Desk
from runner.api.fields import Fields
from runner.api.ollama.answering import answered, loaded, read_common
from runner.api.ollama.answers import Shape
from runner.api.ollama.messages import read_messages
from runner.api.ollama.names import read_model
from runner.api.reading import functions, with_calls


async def chat(desk: Desk, request: Request) -> Response:
    """An answer to a conversation; without one the model is loaded, or unloaded."""
    fields = Fields(await desk.read(request))
    name, known = await read_model(fields, desk)
    is_streamed, asked = read_common(fields, desk, known)
    messages = read_messages(fields, desk.limits.messages)
    sampling = with_calls(asked.sampling, {"tools": functions(fields, desk.limits)}, asked.constraint)
    fields.done()
    asked = replace(asked, messages=messages, sampling=sampling)
    shape = Shape(name, asked, is_chat=True)
    if not messages:
        return await loaded(desk, request, asked, shape)
    return await answered(desk, request, asked, shape, is_streamed=is_streamed)
