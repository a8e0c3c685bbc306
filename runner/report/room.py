"""A turn that would not fit the context: what it needs, and the ways out of it. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from runner.report.words import context, plural
from runner.types.room import Shortage

NO_ROOM = "It would not fit the context"


class Way(StrEnum):
    """What can be done about it."""

    MORE = "more"
    DROP = "drop"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Remedy:
    """One of the ways, as it is offered, and what it means; where it would not help, why."""

    way: Way
    title: str
    meaning: str
    helps: bool


def need(short: Shortage) -> str:
    """What the turn needs beside what there is."""
    return f"This turn needs {plural(short.needed, 'token')} and room for an answer; the context holds {short.ctx:,}."


def remedies(short: Shortage) -> tuple[Remedy, Remedy, Remedy]:
    """More context, fewer turns, a new chat."""
    return _more(short), _fewer(short), _new(short)


def dropped(short: Shortage) -> str:
    """The oldest turns were left out, and nobody was asked."""
    return f"The context of {short.ctx:,} tokens is full: the {plural(short.drop, 'oldest turn')} count no longer."


def _more(short: Shortage) -> Remedy:
    if not short.longer:
        why = f"The model was trained for {short.trained:,} tokens; that is not enough."
        return Remedy(Way.MORE, "More context", why, helps=False)
    meaning = "Shows the new plan first; the engine restarts, the conversation stays."
    return Remedy(Way.MORE, f"More context: {context(short.longer)}", meaning, helps=True)


def _fewer(short: Shortage) -> Remedy:
    if not short.drop:
        return Remedy(Way.DROP, "Drop the oldest turns", "The last message alone is too long.", helps=False)
    title = f"Drop the {plural(short.drop, 'oldest turn')}"
    return Remedy(Way.DROP, title, "The system prompt stays, and the file keeps the turns.", helps=True)


def _new(short: Shortage) -> Remedy:
    meaning = "This one is kept; the message goes into the new one." if short.fresh else "It would not help here."
    return Remedy(Way.NEW, "A new chat", meaning, helps=short.fresh)
