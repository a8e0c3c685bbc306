"""Why a request has no answer: each dialect says it in its own shape, the sentence is ours. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from models.errors import DoesNotFit, LocalrunError, ModelNotFound, OutOfMemory, PromptTooLong, UsageError


class Kind(StrEnum):
    """What went wrong, as far as a program can act on it."""

    INVALID = "invalid"
    TOO_LONG = "too_long"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    NO_MODEL = "no_model"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    BUSY = "busy"
    NO_ROOM = "no_room"
    FAILED = "failed"


STATUS = {
    Kind.INVALID: 400,
    Kind.TOO_LONG: 400,
    Kind.UNAUTHORIZED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.NO_MODEL: 404,
    Kind.TOO_SLOW: 408,
    Kind.TOO_LARGE: 413,
    Kind.BUSY: 429,
    Kind.NO_ROOM: 503,
    Kind.FAILED: 500,
}


@dataclass(frozen=True, slots=True)
class Failure:
    """`message` is a sentence; `param` the field of the request that is to blame, None where it is no single one."""

    kind: Kind
    message: str
    param: str | None = None

    @property
    def status(self) -> int:
        """Of HTTP."""
        return STATUS[self.kind]


class Refused(LocalrunError):  # noqa: N818
    """A request that is not answered."""

    def __init__(self, kind: Kind, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.failure = Failure(kind, message, param)


def invalid(param: str, why: str) -> Refused:
    """A field that cannot be honoured, by its name."""
    return Refused(Kind.INVALID, f"{param}: {why}", param)


def no_text(param: str, kind: str) -> Refused:
    """A part of a message that is no text, which is all that models are given."""
    return invalid(param, f"this model takes text, not {kind}.")


def failure_of(error: LocalrunError) -> Failure:
    """What to tell of an error from anywhere below."""
    match error:
        case Refused(failure=failure):
            return failure
        case PromptTooLong():
            kind = Kind.TOO_LONG
        case UsageError():
            kind = Kind.INVALID
        case ModelNotFound():
            kind = Kind.NO_MODEL
        case DoesNotFit() | OutOfMemory():
            kind = Kind.NO_ROOM
        case _:
            kind = Kind.FAILED
    return Failure(kind, str(error))
