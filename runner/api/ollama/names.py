"""Models as Ollama's clients name them: `NAME:latest`, `hf.co/ORG/REPO:QUANT`, or what Ollama itself calls them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress

from models.errors import ModelNotFound
from runner.api.desk import Desk
from runner.api.errors import Kind, Refused, invalid
from runner.api.fields import Fields
from runner.api.names import Known

_LATEST = ":latest"
_HUBS = ("hf.co/", "huggingface.co/")


async def read_model(fields: Fields, desk: Desk) -> tuple[str, Known]:
    """What the request calls its model, and which one that is. NO_MODEL where there is none."""
    name = fields.text("model") or fields.text("name") or desk.pool.names.default
    fields.idle("name")
    if not name:
        raise invalid("model", "it is missing.")
    return name, await asyncio.to_thread(meant, desk, name)


def meant(desk: Desk, name: str) -> Known:
    """The model of a name; looks at the disk."""
    for one in _spellings(name):
        with suppress(ModelNotFound):
            return desk.pool.names.meant(one)
    raise Refused(Kind.NO_MODEL, f"There is no model {name!r} here; localrun pull NAME brings one.", "model")


def listed_name(name: str) -> str:
    """A name with a tag, as clients expect it of every model."""
    return name if ":" in name else name + _LATEST


def _spellings(name: str) -> Iterator[str]:
    yield name
    plain = name.removesuffix(_LATEST)
    for hub in _HUBS:
        plain = plain.removeprefix(hub)
    if plain != name:
        yield plain
    yield f"ollama:{plain}"
    yield f"ollama:{name}"
