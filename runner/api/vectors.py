"""Texts that become vectors: portion by portion, so that others get their turn and who has gone is not worked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from models.errors import PromptTooLong, UsageError
from runner.api.asked import Texts
from runner.api.pool import Pool
from runner.client.vectors import VectorSession
from runner.types.commands import Embed
from runner.types.vectors import Made, Purpose

_PORTION = 32  # texts


def vectors(pool: Pool, asked: Texts, is_wanted: Callable[[], bool]) -> list[Made]:
    """A vector for each text; fewer where nobody wants them any more. UsageError, PromptTooLong, as `Pool.lease`."""
    with pool.lease(asked.model) as resident:
        session, texts = resident.session, asked.texts
        if not isinstance(session, VectorSession) or resident.running.plan.wish.use is not Purpose.EMBED:
            raise UsageError(f"{resident.known.name} makes no vectors; embedding models do.")
        resident.meets(asked.terms)
        made: list[Made] = []
        for start in range(0, len(texts), _PORTION):
            if not is_wanted():
                break
            portion = Embed(texts[start : start + _PORTION], asked.may_cut)
            with resident.taking_turns:
                made += [one for step in session.made(portion) for one in step]
        return [*_accepted(made)]


def _accepted(made: Sequence[Made]) -> Iterator[Made]:
    for number, one in enumerate(made):
        if one.refusal:
            raise PromptTooLong(f"input[{number}]: {one.refusal}")
        yield one
