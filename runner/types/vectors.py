"""What an engine makes of texts besides answers: vectors, and scores of how well they answer a query. Pure data."""

from __future__ import annotations

from array import array
from base64 import b64decode, b64encode
from dataclasses import dataclass
from enum import StrEnum


class Purpose(StrEnum):
    """What a model is loaded for."""

    CHAT = "chat"
    EMBED = "embed"
    RANK = "rerank"


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one text.

    `tokens` were read of `whole` ones, fewer where it was cut because that was allowed. `numbers`: the vector, of
    length 1, or the one score, float32 in base64 (as JSON they would be three times as long); empty where there is a
    `refusal`, a sentence.
    """

    tokens: int
    whole: int
    numbers: str = ""
    refusal: str | None = None

    @property
    def is_cut(self) -> bool:
        """Whether the end of the text was left out."""
        return self.tokens < self.whole

    @property
    def values(self) -> array[float]:
        """The numbers."""
        return array("f", b64decode(self.numbers))


def numbers_of(floats: bytes) -> str:
    """`Made.numbers` of float32 in this machine's byte order."""
    return b64encode(floats).decode()


@dataclass(frozen=True, slots=True)
class TextLine:
    """A text that somebody gave, on a line of some file; `wrong`: why there is none, in a sentence."""

    number: int
    id: str
    text: str
    wrong: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """What became of a line; None where it was wrong, or not come to."""

    line: TextLine
    made: Made | None

    @property
    def failure(self) -> str | None:
        """Why it has no numbers, in a sentence."""
        return self.line.wrong or (self.made.refusal if self.made else None)
