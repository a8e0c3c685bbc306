"""A response as events, numbered one behind the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

from runner.api.asked import Piece, Whole
from runner.api.errors import Failure
from runner.api.openai.envelope import Json
from runner.api.openai.responses.items import Envelope, Item
from runner.api.openai.usage import likely
from runner.api.streams import EVENTS, event
from runner.types.generation import Chunk
from runner.types.tools import CallDelta

_WORDS = {"message": "output_text", "reasoning": "reasoning_text", "function_call": "function_call_arguments"}


class ResponseWriter:
    """Item behind item, of which the last one may be open; `ended` hears of the whole response.

    Where a model has closed thinking that it never opened, the message before becomes an item of thinking.
    """

    media_type = EVENTS

    def __init__(self, envelope: Envelope, ended: Callable[[Json, Whole], None]) -> None:
        self._envelope, self._ended = envelope, ended
        self._numbers = count()
        self._items: list[Item] = []
        self._is_open = False
        self._whole = Whole()

    def piece(self, piece: Piece) -> Iterable[bytes]:
        """What is new."""
        chunk = piece.chunk
        if self._whole.last is None:
            for state in ("created", "in_progress"):
                yield self._event(f"response.{state}", response=self._envelope.begun())
        self._whole = self._whole.with_chunk(chunk)
        if chunk.recast:
            yield from self._recast()
        if chunk.reasoning:
            yield from self._more("reasoning", chunk.reasoning)
        if chunk.text or (chunk.logprobs and self._is_open and self._items[-1].kind == "message"):
            yield from self._said(chunk)
        for call in chunk.calls:
            yield from self._call(call)

    def end(self) -> Iterable[bytes]:
        """The answer has ended."""
        response = self._envelope.ended(self._items, self._whole.last)
        yield from self._close(response["status"])
        self._ended(response, self._whole)
        yield self._event(f"response.{response['status']}", response=response)

    def failed(self, failure: Failure) -> Iterable[bytes]:
        """A response that has failed, in the place of more."""
        error = {"code": "server_error", "message": failure.message}
        yield self._event("response.failed", response=self._envelope.failed(self._items, error))

    def _said(self, chunk: Chunk) -> Iterator[bytes]:
        logprobs = chunk.logprobs if self._envelope.asked.sampling.logprobs is not None else ()
        yield from self._more("message", chunk.text, logprobs=likely(logprobs))
        self._items[-1].logprobs += logprobs

    def _call(self, call: CallDelta) -> Iterator[bytes]:
        if call.name:
            yield from self._begin(Item("function_call", name=call.name, call_id=call.id))
        if call.arguments:
            yield from self._more("function_call", call.arguments)

    def _more(self, kind: str, words: str, **besides: Any) -> Iterator[bytes]:
        """Words of an item, and its beginning where another one is open."""
        if not (self._is_open and self._items[-1].kind == kind):
            yield from self._begin(Item(kind))
        self._items[-1].text += words
        yield self._of_item(f"{_WORDS[kind]}.delta", delta=words, **besides)

    def _begin(self, item: Item) -> Iterator[bytes]:
        yield from self._close("completed")
        self._items.append(item)
        self._is_open = True
        yield self._item("added", "in_progress")
        if item.kind != "function_call":
            yield self._of_item("content_part.added", part=item.part())

    def _close(self, status: str) -> Iterator[bytes]:
        if not self._is_open:
            return
        self._is_open = False
        item = self._items[-1]
        if item.kind == "function_call":
            yield self._of_item("function_call_arguments.done", name=item.name, arguments=item.text)
        else:
            logprobs = {"logprobs": likely(item.logprobs)} if item.kind == "message" else {}
            yield self._of_item(f"{_WORDS[item.kind]}.done", text=item.text, **logprobs)
            yield self._of_item("content_part.done", part=item.part())
        yield self._item("done", status)

    def _recast(self) -> Iterator[bytes]:
        """The message that is open is thinking."""
        if self._is_open and self._items[-1].kind == "message":
            self._is_open = False
            self._items[-1].kind = "reasoning"
            yield self._item("done", "completed")

    def _item(self, state: str, status: str) -> bytes:
        item = self._items[-1].json(status, is_sealed=self._envelope.is_sealed)
        return self._event(f"response.output_item.{state}", output_index=len(self._items) - 1, item=item)

    def _of_item(self, what: str, **said: Any) -> bytes:
        item = self._items[-1]
        at = {} if item.kind == "function_call" else {"content_index": 0}
        return self._event(f"response.{what}", item_id=item.id, output_index=len(self._items) - 1, **at, **said)

    def _event(self, kind: str, **said: Any) -> bytes:
        return event({"type": kind, "sequence_number": next(self._numbers), **said}, kind)
