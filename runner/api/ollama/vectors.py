"""`/api/embed`, and `/api/embeddings`, which came before it."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runner.api.asked import Terms, Texts
from runner.api.desk import Desk
from runner.api.fields import Fields
from runner.api.ollama.names import read_model
from runner.api.ollama.settings import read_terms


async def embed(desk: Desk, request: Request) -> Response:
    """A vector of length 1 for each text; without texts the model is loaded."""
    began = time.monotonic()
    fields = Fields(await desk.read(request))
    name, known = await read_model(fields, desk)
    texts = fields.texts("input", desk.limits.texts)
    asked = Texts(known.name, texts, fields.flag("truncate", default=True), _terms(fields))
    fields.done()
    made = await desk.vectors(asked, request.receive)
    took, read = time.monotonic() - began, sum(one.tokens for one in made)
    numbers = {"total_duration": round(took * 1e9), "load_duration": 0, "prompt_eval_count": read}
    return JSONResponse({"model": name, "embeddings": [list(one.values) for one in made], **numbers})


async def embed_one(desk: Desk, request: Request) -> Response:
    """A vector of one text."""
    fields = Fields(await desk.read(request))
    _, known = await read_model(fields, desk)
    prompt = fields.needed_text("prompt")
    asked = Texts(known.name, (prompt,) if prompt else (), True, _terms(fields))
    fields.done()
    made = await desk.vectors(asked, request.receive)
    return JSONResponse({"embedding": [value for one in made for value in one.values]})


def _terms(fields: Fields) -> Terms:
    """Of the options only how long the context is to be says something of a vector."""
    options = fields.inner("options")
    ctx = options.whole("num_ctx", 0, 2**31 - 1) if options else 0
    if options is not None:
        options.done()
    return read_terms(fields, ctx or 0)
