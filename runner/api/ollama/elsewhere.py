"""What Ollama's server does and this one does not: models are brought, made and removed by a person."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runner.api.desk import Desk
from runner.api.dialect import Handler
from runner.api.errors import Kind, Refused
from runner.api.fields import Fields
from runner.api.ollama.names import meant


async def pull(desk: Desk, request: Request) -> Response:
    """A model that is here has been brought already; no request brings another."""
    fields = Fields(await desk.read(request))
    name = fields.text("model") or fields.needed_text("name")
    fields.idle("name", "stream", "insecure")  # nothing is brought, whichever way
    fields.done()
    try:
        await asyncio.to_thread(meant, desk, name)
    except Refused:
        raise Refused(Kind.FORBIDDEN, f"No request downloads anything; localrun pull {name} does.") from None
    return JSONResponse({"status": "success"})


def refused(instead: str) -> Handler:
    """A handler that says what to do instead."""

    async def refuse(_desk: Desk, _request: Request) -> Response:
        raise Refused(Kind.FORBIDDEN, instead)

    return refuse
