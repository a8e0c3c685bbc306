"""Tokens that are guessed, and checked by the model several at once. Pure data."""

from dataclasses import dataclass
from enum import StrEnum


class DraftKind(StrEnum):
    """Who guesses: nobody, the text itself (it may go on as it did before), the model's own heads, a small model."""

    OFF = "off"
    LOOKUP = "lookup"
    MTP = "mtp"
    MODEL = "model"


def names_model(draft: str | None) -> bool:
    """Whether what was wished names a small model that is to guess."""
    return draft not in (None, DraftKind.OFF, DraftKind.LOOKUP, DraftKind.MTP)


@dataclass(frozen=True, slots=True)
class Drafted:
    """What guesses have brought an answer so far: of `drafted` tokens the model would have said `accepted`.

    `kind`: who has guessed most of them. `gain`: times as many tokens a second as without, by what steps with and
    without guesses usually take, and what it took to guess.
    """

    kind: DraftKind
    drafted: int = 0
    accepted: int = 0
    gain: float = 1.0
