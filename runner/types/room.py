"""What fits the context: the room an answer needs, a longer context, turns that may be left out. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runner.types.conversation import Conversation, Turn
from runner.types.sampling import Sampling

if TYPE_CHECKING:  # it is heavy, and nothing here is made of it
    from runner.types.service import Session

_RESERVE = 256


@dataclass(frozen=True, slots=True)
class Shortage:
    """Tokens that are `needed` before the answer, and the remedies.

    `longer` is a context that would do, None where the model was `trained` for less; without the oldest `drop` turns
    the rest fits, 0 if it never does; `fresh`: a new chat would help.
    """

    needed: int
    ctx: int
    trained: int
    longer: int | None
    drop: int
    fresh: bool


def shortage(session: Session, conversation: Conversation, sampling: Sampling, *, fresh: bool) -> Shortage | None:
    """What lacks for an answer to the conversation; None where it fits. Asks the engine, which may take a moment.

    `fresh`: its last turn is a new message, which may go into a new chat.
    """
    ctx, trained = session.loaded.ctx, session.plan.model.context_trained
    room = ctx - room_for_answer(sampling, ctx)
    needed = session.count_tokens(conversation.messages)
    if needed <= room:
        return None
    drop = next((count for count, tokens in _shorter(session, conversation) if tokens <= room), 0)
    helps = fresh and len(conversation.turns) > 1 and drop > 0
    return Shortage(needed, ctx, trained, more_context(needed, ctx, trained), drop, helps)


def _shorter(session: Session, conversation: Conversation) -> Iterator[tuple[int, int]]:
    """How many of the oldest turns may be left out, and the tokens of the rest."""
    for count in drop_points(conversation.turns, conversation.skipped):
        yield count, session.count_tokens(replace(conversation, skipped=count).messages)


def room_for_answer(sampling: Sampling, ctx: int) -> int:
    """Tokens that must stay free for an answer to be worth beginning."""
    return min(sampling.max_tokens or _RESERVE, _RESERVE, max(1, ctx // 8))


def more_context(needed: int, ctx: int, trained: int) -> int | None:
    """The next context length that leaves as much room again as is needed now; None: the model has no more."""
    wanted = ctx
    while wanted < needed + _RESERVE:
        wanted *= 2
    return min(wanted, trained) if min(wanted, trained) >= needed + _RESERVE else None


def drop_points(turns: Sequence[Turn], skipped: int) -> list[int]:
    """How many turns may be left out so that what is sent begins with a question; the last question stays."""
    questions = [index for index, turn in enumerate(turns) if turn.role == "user"]
    return [index for index in questions if index > skipped]
