"""`/v1/models`: every model that a request may name."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runner.api.desk import Desk


async def listed(desk: Desk, _request: Request) -> Response:
    """All of them, those that the server was started with first."""
    rows = await asyncio.to_thread(desk.pool.names.listed)
    return JSONResponse({"object": "list", "data": [_model(desk, row.name) for row in rows]})


async def one(desk: Desk, request: Request) -> Response:
    """One of them."""
    known = await asyncio.to_thread(desk.pool.names.meant, request.path_params["model"])
    return JSONResponse(_model(desk, known.name))


def _model(desk: Desk, name: str) -> dict[str, Any]:
    """`created` is when it was loaded, 0 where it is not."""
    since = {one.known.name: int(one.since) for one in desk.pool.residents()}
    return {"id": name, "object": "model", "created": since.get(name, 0), "owned_by": "localrun"}
