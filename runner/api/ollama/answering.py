"""What chats and plain prompts have in common: what is asked besides the words, and how it is answered."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runner.api.asked import Asked
from runner.api.desk import Desk
from runner.api.fields import Fields
from runner.api.names import Known
from runner.api.ollama.answers import LineWriter, Shape
from runner.api.ollama.settings import read_format, read_options, read_terms, read_think
from runner.api.openai.settings import read_logprobs
from runner.types.thinking import Think


def read_common(fields: Fields, desk: Desk, known: Known) -> tuple[bool, Asked]:
    """Whether pieces are wanted, which they are where nothing is said; and the request without its words."""
    is_streamed = fields.flag("stream", default=True)
    sampling, ctx = read_options(fields, desk.sampling)
    think = read_think(fields)
    sampling = sampling if think is None else replace(sampling, think=think)
    thinks = "" if think in (None, Think.OFF) else "think"
    constraint = read_format(fields, desk.limits.schema)
    fields.only("truncate", False)  # a prompt that is too long is refused, an answer ends where the context does
    fields.only("shift", False)
    sampling = read_logprobs(fields, sampling)
    terms = read_terms(fields, ctx)
    return is_streamed, Asked(known.name, sampling=sampling, constraint=constraint, thinks=thinks, terms=terms)


async def answered(desk: Desk, request: Request, asked: Asked, shape: Shape, *, is_streamed: bool) -> Response:
    """The answer, whole or in lines."""
    if is_streamed:
        return await desk.stream(asked, LineWriter(shape), request.receive)
    (whole,) = await desk.whole(asked, request.receive)
    return JSONResponse(shape.end(whole))


async def loaded(desk: Desk, request: Request, asked: Asked, shape: Shape) -> Response:
    """Nothing is asked of the model, but to be loaded, or to be unloaded as soon as nobody asks it."""
    if asked.terms.keep_s == 0:
        await asyncio.to_thread(desk.pool.expire, desk.pool.names.meant(asked.model))
        return JSONResponse(shape.idle("unload"))
    await desk.load(asked.model, asked.terms, request.receive)
    return JSONResponse(shape.idle("load"))
