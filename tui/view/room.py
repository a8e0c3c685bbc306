"""What fits the context: the room an answer needs, a longer context, turns that may be left out. Pure."""

from collections.abc import Sequence

from runner.types.conversation import Turn
from runner.types.sampling import Sampling

_RESERVE = 256


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
