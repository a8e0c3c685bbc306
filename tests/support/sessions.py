"""What tests of a service do with a loaded model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from runner.client.session import EngineSession
from runner.service.service import LocalService
from runner.types.generation import Chunk
from runner.types.plan import Plan
from runner.types.wish import Wish


def opened(service: LocalService, path: Path, wish: Wish) -> EngineSession:
    """The model of a file, planned and loaded."""
    return loaded(service, service.plan(str(path), wish))


def loaded(service: LocalService, plan: Plan) -> EngineSession:
    """What a plan has chosen, loaded."""
    *_, session = service.load(plan, service.chosen(plan))
    assert isinstance(session, EngineSession)
    return session


def told(chunks: Iterable[Chunk]) -> str:
    """The text of an answer."""
    return "".join(chunk.text for chunk in chunks)
