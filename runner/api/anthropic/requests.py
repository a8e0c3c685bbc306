"""`/v1/messages` and `/v1/messages/count_tokens`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runner.api.anthropic import settings
from runner.api.anthropic.answers import MessageWriter, message_json
from runner.api.anthropic.messages import read_messages
from runner.api.asked import Asked
from runner.api.desk import Desk
from runner.api.fields import Fields
from runner.api.reading import with_calls


async def answer(desk: Desk, request: Request) -> Response:
    """The next turn of a conversation, whole or in pieces."""
    fields = Fields(await desk.read(request))
    is_streamed = fields.flag("stream")
    asked = read_asked(fields, desk)
    if is_streamed:
        return await desk.stream(asked, MessageWriter(asked), request.receive)
    (whole,) = await desk.whole(asked, request.receive)
    return JSONResponse(message_json(asked, whole))


async def count(desk: Desk, request: Request) -> Response:
    """How many tokens the prompt of such a request has."""
    asked = read_asked(Fields(await desk.read(request)), desk)
    return JSONResponse({"input_tokens": await desk.prompt_tokens(asked, request.receive)})


def read_asked(fields: Fields, desk: Desk) -> Asked:
    """The request; what is not understood or cannot be honoured is refused by its name."""
    limits = desk.limits
    sampling = settings.read_settings(fields, desk.sampling)
    effort, constraint = settings.read_output(fields, limits.schema)
    sampling, thinks = settings.read_thinking(fields, sampling, effort)
    asked = Asked(
        model=fields.text("model") or desk.pool.names.default,
        messages=read_messages(fields, limits.messages),
        sampling=with_calls(sampling, settings.read_tools(fields, limits), constraint),
        constraint=constraint,
        thinks=thinks,
    )
    fields.done()
    return asked
