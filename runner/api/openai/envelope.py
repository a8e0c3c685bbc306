"""What objects of OpenAI's dialect have in common."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from runner.api.errors import Failure
from runner.api.fields import Fields
from runner.api.openai.errors import error_json
from runner.api.openai.usage import usage_json
from runner.api.streams import EVENTS, event
from runner.types.generation import Chunk

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """What every object of one request begins with; `kind` is in its id."""

    model: str
    kind: str
    number: str = field(default_factory=lambda: uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))

    def json(self, name: str) -> Json:
        """The beginning of an object of this name."""
        return {"id": f"{self.kind}-{self.number}", "object": name, "created": self.created, "model": self.model}


class EventWriter:
    """Events that begin with `head`; with the numbers behind the last, where they are wanted; [DONE] at last."""

    media_type = EVENTS

    def __init__(self, head: Json, with_usage: bool) -> None:
        self._head, self._with_usage = head, with_usage
        self._last: dict[int, Chunk] = {}

    def _event(self, choice: Json) -> bytes:
        """A step of one answer; where the numbers are wanted it says that they are not there yet."""
        usage = {"usage": None} if self._with_usage else {}
        return event({**self._head, "choices": [choice], **usage})

    def end(self) -> Iterable[bytes]:
        """All answers have ended."""
        if self._with_usage:
            yield event({**self._head, "choices": [], "usage": usage_json(self._last.values())})
        yield event("[DONE]")

    def failed(self, failure: Failure) -> Iterable[bytes]:
        """The error in the place of more."""
        yield event(error_json(failure))


def read_streaming(fields: Fields) -> tuple[bool, bool]:
    """Whether pieces are wanted, and whether the numbers behind the last."""
    is_streamed, options = fields.flag("stream"), fields.inner("stream_options")
    with_usage = False
    if options is not None:
        with_usage = options.flag("include_usage")
        options.idle("include_obfuscation")  # hides lengths from who listens to encrypted traffic; this is not
        options.done()
    return is_streamed, with_usage
