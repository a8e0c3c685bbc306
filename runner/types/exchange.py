"""Prompts and their answers: what a person waits for. Pure data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exchange:
    """`prompt` tokens are read behind `depth` that are there already, then `answer` tokens are written.

    `weight` is how much it counts among others.
    """

    depth: int
    prompt: int
    answer: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Wait:
    """How long a request takes in the mean of a mix: seconds for its prompt, and for its answer."""

    mix: tuple[Exchange, ...]
    prompt_s: float
    answer_s: float

    @property
    def seconds(self) -> float:
        """Both."""
        return self.prompt_s + self.answer_s
