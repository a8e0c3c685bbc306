"""`/v1/responses`, and responses that are kept for what goes on from them."""

from __future__ import annotations

import json
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runner.api.asked import Whole
from runner.api.desk import Desk
from runner.api.errors import Kind, Refused, invalid
from runner.api.fields import Fields
from runner.api.openai.envelope import Json, read_streaming
from runner.api.openai.responses.conversation import read_input
from runner.api.openai.responses.events import ResponseWriter
from runner.api.openai.responses.items import Envelope, items_of
from runner.api.openai.responses.wishes import LOGPROBS, SEALED, read_asked, read_includes
from runner.api.remembered import Memory
from runner.types.generation import Message


async def answer(desk: Desk, request: Request) -> Response:
    """An answer, whole or in pieces."""
    said = await desk.read(request)
    fields = Fields(said)
    is_streamed, _ = read_streaming(fields)
    is_kept, includes = said.get("store") is None or fields.flag("store"), read_includes(fields)
    instructions, turns = fields.text("instructions"), _turns(fields, desk)
    asked = read_asked(fields, desk, includes)
    asked = replace(asked, messages=(*((Message("system", instructions),) if instructions else ()), *turns))
    envelope = Envelope(asked, said, is_sealed=SEALED in includes)

    def ended(response: Json, whole: Whole) -> None:
        if is_kept:
            spoken = Message("assistant", whole.text, whole.reasoning or None, whole.calls)
            desk.memory.keep(envelope.id, Memory((*turns, spoken), json.dumps(response)))

    if is_streamed:
        return await desk.stream(asked, ResponseWriter(envelope, ended), request.receive)
    (whole,) = await desk.whole(asked, request.receive)
    response = envelope.ended(items_of(whole, with_logprobs=LOGPROBS in includes), whole.last)
    ended(response, whole)
    return JSONResponse(response)


async def kept(desk: Desk, request: Request) -> Response:
    """One that was given before, whole."""
    Fields(dict(request.query_params)).done()
    memory = _remembered(desk, request.path_params["response"])
    return Response(memory.said, media_type="application/json")


async def forget(desk: Desk, request: Request) -> Response:
    """Keep one no longer."""
    name = request.path_params["response"]
    _remembered(desk, name)
    desk.memory.forget(name)
    return JSONResponse({"id": name, "object": "response", "deleted": True})


def _remembered(desk: Desk, name: str) -> Memory:
    if (memory := desk.memory.of(name)) is None:
        words = f"there is no response {name!r} here; the last {desk.limits.kept} are kept, until the server ends."
        raise Refused(Kind.NOT_FOUND, words)
    return memory


def _turns(fields: Fields, desk: Desk) -> tuple[Message, ...]:
    """The conversation, what was said before included."""
    before = fields.text("previous_response_id")
    try:
        said = _remembered(desk, before).messages if before else ()
    except Refused as error:
        raise invalid("previous_response_id", str(error)) from None
    turns = (*said, *read_input(fields, desk.limits.messages))
    if not turns:
        raise invalid("input", "there is none.")
    if len(turns) > desk.limits.messages:
        raise invalid("input", f"with what it goes on from it has {len(turns)} turns; at most {desk.limits.messages}.")
    return turns
