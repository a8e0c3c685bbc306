"""Values with their GGUF types."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.headers.gguf_bytes import BOOL, STRING

U16, U32, I32, F32 = 2, 4, 5, 6  # GGUF's numbers of types


@dataclass(frozen=True, slots=True)
class Typed:
    """A value of one GGUF type; an array where `value` is a sequence."""

    type: int
    value: bool | int | float | str | Sequence[bool] | Sequence[int] | Sequence[float] | Sequence[str]


def typed(value: bool | int | float | str | Sequence[bool] | Sequence[int]) -> Typed:
    """With the type that converters give such a value."""
    sample = value[0] if isinstance(value, list | tuple) else value
    match sample:
        case bool():
            return Typed(BOOL, value)
        case int():
            return Typed(U32, value)
        case float():
            return Typed(F32, value)
    return Typed(STRING, value)
