"""`/v1/models` as Anthropic's clients know it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import dropwhile, takewhile
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runner.api.desk import Desk
from runner.api.errors import invalid

_MOST = 1000


async def listed(desk: Desk, request: Request) -> Response:
    """Those that the server was started with first; by pages, if somebody wants that."""
    asked = request.query_params
    names = [row.name for row in await asyncio.to_thread(desk.pool.names.listed)]
    if (after := asked.get("after_id")) is not None:
        names = [*dropwhile(lambda name: name != after, names)][1:]
    if (before := asked.get("before_id")) is not None:
        names = [*takewhile(lambda name: name != before, names)]
    limit = _limit(asked.get("limit", str(_MOST)))
    page = names[:limit] if before is None else names[-limit:]
    ends = {"first_id": page[0] if page else None, "last_id": page[-1] if page else None}
    data = [_model(desk, name) for name in page]
    return JSONResponse({"data": data, "has_more": len(page) < len(names), **ends})


async def one(desk: Desk, request: Request) -> Response:
    """One of them."""
    known = await asyncio.to_thread(desk.pool.names.meant, request.path_params["model"])
    return JSONResponse(_model(desk, known.name))


def _limit(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= _MOST:
        return int(text)
    raise invalid("limit", f"it is a whole number from 1 to {_MOST}.")


def _model(desk: Desk, name: str) -> dict[str, Any]:
    """`created_at` is when it was loaded, the epoch where it is not; what is loaded says how long its context is."""
    loaded = next((one for one in desk.pool.residents() if one.known.name == name), None)
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": datetime.fromtimestamp(int(loaded.since) if loaded else 0, UTC).isoformat(),
        "lifecycle": "active",
        "max_input_tokens": loaded.running.loaded.ctx if loaded else None,
    }
