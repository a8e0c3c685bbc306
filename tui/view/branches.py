"""The branches of a conversation as they are told apart. Pure."""

from collections.abc import Sequence

from runner.report.words import one_line, plural
from runner.types.attachment import without_files
from runner.types.conversation import Branch, Turn


def branch_title(branch: Branch, present: Sequence[Turn]) -> str:
    """Its name, else the first thing that is said in it and not in the present branch; how many turns it has."""
    own = branch.turns[_shared(branch.turns, present) :]
    nothing = "the same, cut short" if branch.turns else "nothing yet"
    said = next((without_files(turn.text)[0] or turn.text for turn in own if turn.text), nothing)
    return f"{one_line(branch.name or said, 50)}  {plural(len(branch.turns), 'turn')}"


def _shared(turns: Sequence[Turn], others: Sequence[Turn]) -> int:
    """How many turns both begin with."""
    pairs = enumerate(zip(turns, others, strict=False))
    return next((index for index, (one, other) in pairs if one != other), min(len(turns), len(others)))
