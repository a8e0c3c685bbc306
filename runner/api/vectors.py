"""Texts that become vectors: portion by portion, so that others get their turn and who has gone is not worked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from models.errors import PromptTooLong, UsageError
from runner.api.pool import Pool
from runner.client.vectors import VectorSession
from runner.types.commands import Embed
from runner.types.vectors import Made, Purpose

_PORTION = 32  # texts


def vectors(pool: Pool, model: str, texts: Sequence[str], is_wanted: Callable[[], bool]) -> list[Made]:
    """A vector for each text; fewer where nobody wants them any more. UsageError, PromptTooLong, as `Pool.lease`."""
    with pool.lease(model) as resident:
        session = resident.session
        if not isinstance(session, VectorSession) or resident.running.plan.wish.use is not Purpose.EMBED:
            raise UsageError(f"{resident.known.name} makes no vectors; embedding models do.")
        made: list[Made] = []
        for start in range(0, len(texts), _PORTION):
            if not is_wanted():
                break
            portion = tuple(texts[start : start + _PORTION])
            with resident.taking_turns:
                made += [one for step in session.made(Embed(portion)) for one in step]
        return [*_accepted(made)]


def _accepted(made: Sequence[Made]) -> Iterator[Made]:
    for number, one in enumerate(made):
        if one.refusal:
            raise PromptTooLong(f"input[{number}]: {one.refusal}")
        yield one
