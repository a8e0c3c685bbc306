"""What is offered where a turn would not fit."""

from runner.report.room import Way, need, remedies
from runner.types.room import Shortage

SHORT = Shortage(needed=9000, ctx=8192, trained=131_072, longer=16_384, drop=2, fresh=True)
HOPELESS = Shortage(needed=9000, ctx=8192, trained=8192, longer=None, drop=0, fresh=False)


def test_what_it_needs_is_said_in_numbers() -> None:
    assert need(SHORT) == "This turn needs 9,000 tokens and room for an answer; the context holds 8,192."


def test_each_way_out_is_offered_or_says_why_not() -> None:
    assert [(one.way, one.title, one.helps) for one in remedies(SHORT)] == [
        (Way.MORE, "More context: 16k", True),
        (Way.DROP, "Drop the 2 oldest turns", True),
        (Way.NEW, "A new chat", True),
    ]
    assert [(one.meaning, one.helps) for one in remedies(HOPELESS)] == [
        ("The model was trained for 8,192 tokens; that is not enough.", False),
        ("The last message alone is too long.", False),
        ("It would not help here.", False),
    ]
