"""`/v1/embeddings`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runner.api.asked import Texts
from runner.api.desk import Desk
from runner.api.errors import invalid
from runner.api.fields import Fields
from runner.types.vectors import Made

_FORMATS = ("float", "base64")


async def embed(desk: Desk, request: Request) -> Response:
    """A vector of length 1 for each text."""
    fields = Fields(await desk.read(request))
    model, texts = fields.text("model") or desk.pool.names.default, fields.texts("input", desk.limits.texts)
    if not texts:
        raise invalid("input", "there is none.")
    form = fields.text("encoding_format") or "float"
    if form not in _FORMATS:
        raise invalid("encoding_format", f"{form!r} is not one of {', '.join(_FORMATS)}.")
    fields.idle("user")
    fields.done()
    made = await desk.vectors(Texts(model, texts), request.receive)
    data = [{"object": "embedding", "index": index, "embedding": _numbers(one, form)} for index, one in enumerate(made)]
    read = sum(one.tokens for one in made)
    usage = {"prompt_tokens": read, "total_tokens": read}
    return JSONResponse({"object": "list", "data": data, "model": model, "usage": usage})


def _numbers(made: Made, form: str) -> str | list[float]:
    """Both are float32, of this machine's byte order, which is little."""
    return made.numbers if form == "base64" else list(made.values)
