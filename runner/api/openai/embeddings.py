"""`/v1/embeddings`."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runner.api.desk import Desk
from runner.api.errors import invalid
from runner.api.fields import Fields
from runner.types.vectors import Made

_FORMATS = ("float", "base64")


async def embed(desk: Desk, request: Request) -> Response:
    """A vector of length 1 for each text."""
    fields = Fields(await desk.read(request))
    model, texts = fields.text("model") or desk.pool.names.default, _texts(fields, desk.limits.texts)
    form = fields.text("encoding_format") or "float"
    if form not in _FORMATS:
        raise invalid("encoding_format", f"{form!r} is not one of {', '.join(_FORMATS)}.")
    fields.idle("user")
    fields.done()
    made = await desk.vectors(model, texts, request.receive)
    data = [{"object": "embedding", "index": index, "embedding": _numbers(one, form)} for index, one in enumerate(made)]
    read = sum(one.tokens for one in made)
    usage = {"prompt_tokens": read, "total_tokens": read}
    return JSONResponse({"object": "list", "data": data, "model": model, "usage": usage})


def _texts(fields: Fields, most: int) -> list[str]:
    value: Any = fields.take("input")
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise invalid("input", "it is a text or a list of texts; tokens are not taken.")
    if len(texts) > most:
        raise invalid("input", f"it has {len(texts)} texts; at most {most} are taken.")
    return texts


def _numbers(made: Made, form: str) -> str | list[float]:
    """Both are float32, of this machine's byte order, which is little."""
    return made.numbers if form == "base64" else list(made.values)
