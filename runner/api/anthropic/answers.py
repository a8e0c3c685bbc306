"""Answers as messages of blocks, whole and as events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import uuid4

from runner.api.anthropic.errors import error_json
from runner.api.asked import Asked, Piece, Whole
from runner.api.errors import Failure, Kind, Refused
from runner.api.streams import EVENTS, event
from runner.types.generation import Chunk, Finish, Phase
from runner.types.tools import CallDelta, ToolCall, read_arguments

Json = dict[str, Any]
_SIGNATURE = "unsigned"  # clients send back no thinking without one


def message_json(asked: Asked, whole: Whole) -> Json:
    """A whole answer."""
    last = whole.last or Chunk(Phase.DONE)
    blocks = [*_blocks(whole, is_cut=last.finish is Finish.LENGTH)]
    return {**_head(asked.model, last), "content": blocks, **_end(asked, last)}


def _head(model: str, chunk: Chunk) -> Json:
    identity = {"id": f"msg_{uuid4().hex}", "type": "message", "role": "assistant", "model": model}
    return {**identity, "content": [], "stop_reason": None, "stop_sequence": None, "usage": _usage(chunk)}


def _end(asked: Asked, last: Chunk) -> Json:
    return {"stop_reason": _reason(asked, last), "stop_sequence": last.stopped_by}


def _reason(asked: Asked, last: Chunk) -> str:
    """Why an answer ended; one that goes round in circles has had its tokens."""
    if last.finish is Finish.CALLS:
        return "tool_use"
    if last.finish is not Finish.LENGTH:
        return "stop_sequence" if last.stopped_by is not None else "end_turn"
    most = asked.sampling.max_tokens
    is_full = last.happened is None and (most is None or last.completion_tokens < most)
    return "model_context_window_exceeded" if is_full else "max_tokens"


def _usage(last: Chunk) -> Json:
    """Tokens of the prompt that were read, and those that need not be, are counted apart."""
    return {
        "input_tokens": last.prompt_tokens - last.cached_tokens,
        "cache_read_input_tokens": last.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": last.completion_tokens,
        "output_tokens_details": {"thinking_tokens": last.reasoning_tokens},
    }


def _blocks(whole: Whole, *, is_cut: bool) -> Iterator[Json]:
    if whole.reasoning:
        yield {"type": "thinking", "thinking": whole.reasoning, "signature": _SIGNATURE}
    if whole.text:
        yield {"type": "text", "text": whole.text}
    for call in whole.calls:
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call, is_cut=is_cut)}


def _input(call: ToolCall, *, is_cut: bool) -> Json:
    """The arguments; of a call that was cut there are none."""
    said = read_arguments(call.arguments)
    if isinstance(said, dict):
        return said
    if is_cut:
        return {}
    raise Refused(Kind.FAILED, f"The model called {call.name} with arguments that are no object: {call.arguments}")


class MessageWriter:
    """Events of a message: block behind block, of which one is open at a time.

    Where a model has closed thinking that it never opened, the end of the text block before says `recast`: that was
    thinking.
    """

    media_type = EVENTS

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._last: Chunk | None = None
        self._open = ""  # what is
        self._index = -1

    def piece(self, piece: Piece) -> Iterable[bytes]:
        """What is new; a message begins once its prompt is being read, and its tokens are known."""
        chunk = piece.chunk
        if self._last is None:
            if chunk.phase is Phase.WAITING:
                return
            yield _event("message_start", message=_head(self._asked.model, chunk))
        self._last = chunk
        if chunk.recast and self._open == "text":
            yield from self._close(recast=True)
        if chunk.reasoning:
            yield from self._more("thinking", chunk.reasoning)
        if chunk.text:
            yield from self._more("text", chunk.text)
        for call in chunk.calls:
            yield from self._call(call)

    def end(self) -> Iterable[bytes]:
        """The answer has ended."""
        yield from self._close()
        if self._last is not None:
            yield _event("message_delta", delta=_end(self._asked, self._last), usage=_usage(self._last))
        yield _event("message_stop")

    def failed(self, failure: Failure) -> Iterable[bytes]:
        """The error in the place of more."""
        yield event(error_json(failure), "error")

    def _more(self, kind: str, words: str) -> Iterator[bytes]:
        """Words of a block, and its beginning where another one is open."""
        if self._open != kind:
            signature = {"signature": ""} if kind == "thinking" else {}
            yield from self._begin(kind, {"type": kind, kind: "", **signature})
        yield self._delta({"type": f"{kind}_delta", kind: words})

    def _call(self, call: CallDelta) -> Iterator[bytes]:
        if call.name:
            yield from self._begin("tool_use", {"type": "tool_use", "id": call.id, "name": call.name, "input": {}})
        if call.arguments:
            yield self._delta({"type": "input_json_delta", "partial_json": call.arguments})

    def _begin(self, kind: str, block: Json) -> Iterator[bytes]:
        yield from self._close()
        self._open, self._index = kind, self._index + 1
        yield _event("content_block_start", index=self._index, content_block=block)

    def _close(self, **besides: bool) -> Iterator[bytes]:
        if not self._open:
            return
        if self._open == "thinking":
            yield self._delta({"type": "signature_delta", "signature": _SIGNATURE})
        self._open = ""
        yield _event("content_block_stop", index=self._index, **besides)

    def _delta(self, delta: Json) -> bytes:
        return _event("content_block_delta", index=self._index, delta=delta)


def _event(name: str, **said: Any) -> bytes:
    return event({"type": name, **said}, name)
