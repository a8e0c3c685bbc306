"""The question that offers what can be done about a turn that would not fit the context."""

from runner.report.room import NO_ROOM, need, remedies
from runner.types.room import Shortage
from tui.screens.dialogs import Ask, Suggestion


def question(short: Shortage) -> Ask:
    """More context, fewer turns or a new chat; what cannot be done is shown with its reason."""
    ways = [Suggestion(one.way, one.title, one.meaning, disabled=not one.helps) for one in remedies(short)]
    return Ask(NO_ROOM, need(short), ways)
