"""What is here, what one of them is, and what is loaded."""

from __future__ import annotations

import asyncio
import json
import math
import time
from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from models.errors import LocalrunError
from runner.api.desk import Desk
from runner.api.fields import Fields
from runner.api.ollama.answers import Json, moment
from runner.api.ollama.facts import Facts, facts_of, facts_of_offer
from runner.api.ollama.names import listed_name, read_model
from runner.api.pool import Resident
from runner.report.serving import OLLAMA_PROBE
from runner.service import library
from runner.types.service import Choice

SPOKEN = "0.13.0"
"""The version of Ollama whose interface this is: clients ask for it, and refuse to speak to older ones."""
_NEVER = "9999-12-31T23:59:59Z"


async def root(_desk: Desk, _request: Request) -> Response:
    """Somebody looks whether anybody is there."""
    return PlainTextResponse(OLLAMA_PROBE)


async def version(_desk: Desk, _request: Request) -> Response:
    """Which interface this is."""
    return JSONResponse({"version": SPOKEN})


async def tags(desk: Desk, _request: Request) -> Response:
    """Every model that a request may name."""
    return JSONResponse({"models": await asyncio.to_thread(_listed, desk)})


async def show(desk: Desk, request: Request) -> Response:
    """What one of them is."""
    fields = Fields(await desk.read(request))
    _, known = await read_model(fields, desk)
    fields.only("verbose", False)  # the long lists of the tokenizer's are not told
    fields.done()
    return JSONResponse(_shown(await asyncio.to_thread(facts_of, known)))


async def running(desk: Desk, _request: Request) -> Response:
    """What is loaded."""
    return JSONResponse({"models": await asyncio.to_thread(lambda: [_running(one) for one in desk.pool.residents()])})


def _listed(desk: Desk) -> list[Json]:
    offers = {offer.name: offer for offer in library.offers_here()}
    found = []
    for row in desk.pool.names.listed():
        facts = None
        with suppress(LocalrunError):  # a damaged file hides no other
            offer = offers.get(row.name)
            facts = facts_of_offer(offer) if offer else facts_of(desk.pool.names.meant(row.name))
        found.append(_row(row, facts))
    return found


def _row(row: Choice, facts: Facts | None) -> Json:
    name = listed_name(row.name)
    size = facts.said.file_bytes if facts else row.bytes or 0
    return {
        "name": name,
        "model": name,
        "modified_at": moment(facts.modified if facts else 0.0),
        "size": size,
        "digest": facts.digest if facts else "",
        "details": _details(facts) if facts else {},
    }


def _details(facts: Facts) -> Json:
    said = facts.said
    return {
        "parent_model": "",
        "format": "gguf",
        "family": said.arch,
        "families": [said.arch],
        "parameter_size": _short(said.parameters),
        "quantization_level": said.quant,
    }


def _short(count: int) -> str:
    """Parameters as Ollama writes them: 134.52M, 3.2B."""
    return f"{count / 1e9:.1f}B" if count >= 1e9 else f"{count / 1e6:.2f}M"


def _shown(facts: Facts) -> Json:
    return {
        "license": facts.said.licence or "",
        "modelfile": "",
        "parameters": _parameters(facts),
        "template": facts.template,
        **({"system": facts.modelfile.system} if facts.modelfile.system else {}),
        "details": _details(facts),
        "model_info": facts.info,
        "capabilities": list(facts.capabilities),
        "modified_at": moment(facts.modified),
    }


def _parameters(facts: Facts) -> str:
    """What the model is sampled with unasked, a line each."""
    said: list[tuple[str, Any]] = [(one.setting, one.value) for one in facts.said.recommended]
    stops = [("stop", json.dumps(one)) for one in facts.modelfile.stop]
    return "\n".join(f"{name:<30} {value}" for name, value in (*said, *stops))


def _running(one: Resident) -> Json:
    memory, name = one.running.loaded.held, listed_name(one.known.name)
    facts = facts_of(one.known)
    return {
        "name": name,
        "model": name,
        "size": sum(row.held for row in memory),
        "digest": facts.digest,
        "details": _details(facts),
        "expires_at": _expires(one),
        "size_vram": sum(row.held for row in memory if row.device != "CPU"),
        "context_length": one.running.loaded.ctx,
    }


def _expires(one: Resident) -> str:
    if one.keep_s is None or math.isinf(one.keep_s):
        return _NEVER
    return moment(time.time() + one.used + one.keep_s - time.monotonic())
