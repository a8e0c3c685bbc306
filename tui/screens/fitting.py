"""What can be done about a turn that would not fit the context, and the question that offers it."""

from dataclasses import dataclass, replace

from runner.report.words import context, plural
from runner.types.conversation import Conversation
from runner.types.sampling import Sampling
from runner.types.service import Session
from tui.screens.dialogs import Ask, Suggestion
from tui.view.room import drop_points, more_context, room_for_answer
from tui.workers import aside


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


async def shortage(session: Session, conversation: Conversation, sampling: Sampling, *, fresh: bool) -> Shortage | None:
    """What lacks for an answer to the conversation; None where it fits.

    `fresh`: its last turn is a new message, which may go into a new chat.
    """
    ctx, trained = session.loaded.ctx, session.plan.model.context_trained
    room = ctx - room_for_answer(sampling, ctx)
    needed = await _tokens(session, conversation)
    if needed <= room:
        return None
    drop = await _droppable(session, conversation, room)
    helps = fresh and len(conversation.turns) > 1 and drop > 0
    return Shortage(needed, ctx, trained, more_context(needed, ctx, trained), drop, helps)


async def _tokens(session: Session, conversation: Conversation) -> int:
    return await aside(lambda: session.count_tokens(conversation.messages))


async def _droppable(session: Session, conversation: Conversation, room: int) -> int:
    """The smallest number of oldest turns without which the rest fits; 0 if none does."""
    for count in drop_points(conversation.turns, conversation.skipped):
        if await _tokens(session, replace(conversation, skipped=count)) <= room:
            return count
    return 0


def question(short: Shortage) -> Ask:
    """More context, fewer turns or a new chat; what cannot be done is shown with its reason."""
    need = f"This turn needs {plural(short.needed, 'token')} and room for an answer; the context holds {short.ctx:,}."
    more, why_more = "More context", f"The model was trained for {short.trained:,} tokens; that is not enough."
    if short.longer:
        more = f"More context: {context(short.longer)}"
        why_more = "Shows the new plan first; the engine restarts, the conversation stays."
    oldest, why_oldest = "Drop the oldest turns", "The last message alone is too long."
    if short.drop:
        oldest = f"Drop the {plural(short.drop, 'oldest turn')}"
        why_oldest = "The system prompt stays, and the file keeps the turns."
    why_new = "This one is kept; the message goes into the new one." if short.fresh else "It would not help here."
    suggestions = [
        Suggestion("more", more, why_more, disabled=not short.longer),
        Suggestion("drop", oldest, why_oldest, disabled=not short.drop),
        Suggestion("new", "A new chat", why_new, disabled=not short.fresh),
    ]
    return Ask("It would not fit the context", need, suggestions)
