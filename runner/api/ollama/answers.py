"""Answers in Ollama's shape: objects with what is new, a line each, and the numbers in the last."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from runner.api.asked import Asked, Piece, Whole
from runner.api.errors import Failure
from runner.api.ollama.errors import error_json
from runner.api.openai.usage import likely
from runner.types.generation import Chunk, Finish
from runner.types.tools import ToolCall, read_arguments

Json = dict[str, Any]
LINES = "application/x-ndjson"


class Shape:
    """Objects of one request; `model` is what it is called there. As messages of a chat, or as plain responses."""

    def __init__(self, model: str, asked: Asked, *, is_chat: bool) -> None:
        self._model, self._is_chat = model, is_chat
        self._wants_logprobs = asked.sampling.logprobs is not None
        self._began = time.monotonic()

    def step(self, said: Whole) -> Json:
        """Some words on the way."""
        return {**self._head(), **self._words(said), "done": False}

    def end(self, said: Whole) -> Json:
        """The last words, or all of them, and the numbers."""
        last, total = said.last, time.monotonic() - self._began
        numbers = durations(last, total) if last is not None else {}
        return {**self._head(), **self._words(said), "done": True, "done_reason": _reason(last), **numbers}

    def idle(self, reason: str) -> Json:
        """Nothing was asked of the model, but that it is loaded, or is not."""
        return {**self._head(), **self._words(Whole()), "done": True, "done_reason": reason}

    def _head(self) -> Json:
        return {"model": self._model, "created_at": moment(time.time())}

    def _words(self, said: Whole) -> Json:
        whole, text = _sorted(said)
        thinking = {"thinking": said.reasoning} if said.reasoning else {}
        logprobs = {"logprobs": likely(said.logprobs)} if self._wants_logprobs and said.logprobs else {}
        if not self._is_chat:
            return {"response": text, **thinking, **logprobs}
        calls = {"tool_calls": whole} if whole else {}
        return {"message": {"role": "assistant", "content": text, **thinking, **calls}, **logprobs}


class LineWriter:
    """An object a line. A call is whole before it is told."""

    media_type = LINES

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._so_far = Whole()
        self._told = 0  # calls

    def piece(self, piece: Piece) -> Iterable[bytes]:
        """What is new; `recast` says that all text before was thinking: the model has closed what it never opened."""
        chunk = piece.chunk
        self._so_far = self._so_far.with_chunk(chunk)
        ready = self._so_far.calls if chunk.finish else self._so_far.calls[:-1]
        new = Whole(chunk.text, chunk.reasoning, chunk.logprobs, ready[self._told :], chunk)
        self._told = max(self._told, len(ready))
        recast = {"recast": True} if chunk.recast else {}
        if new.text or new.reasoning or new.logprobs or new.calls or recast:
            yield line({**self._shape.step(new), **recast})

    def end(self) -> Iterable[bytes]:
        """The numbers."""
        yield line(self._shape.end(Whole(last=self._so_far.last)))

    def failed(self, failure: Failure) -> Iterable[bytes]:
        """The error in the place of more."""
        yield line(error_json(failure))


def line(data: Json) -> bytes:
    """An object on a line."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def moment(seconds: float) -> str:
    """Seconds since 1970 as a date of RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def durations(last: Chunk, total_s: float) -> Json:
    """Counts of tokens, and nanoseconds; the load is what was neither waiting nor reading nor writing."""
    read_s = last.prefilled / last.prefill_tps if last.prefill_tps else 0.0
    wrote_s = last.completion_tokens / last.decode_tps if last.decode_tps else 0.0
    return {
        "total_duration": _ns(total_s),
        "load_duration": _ns(max(0.0, total_s - last.waited_s - read_s - wrote_s)),
        "prompt_eval_count": last.prompt_tokens,
        "prompt_eval_duration": _ns(read_s),
        "eval_count": last.completion_tokens,
        "eval_duration": _ns(wrote_s),
    }


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _reason(last: Chunk | None) -> str:
    return "length" if last is not None and last.finish is Finish.LENGTH else "stop"


def _sorted(said: Whole) -> tuple[list[Json], str]:
    """Calls with their arguments, and the text. What was written for a call and is no object is text."""
    calls: list[Json] = []
    text = said.text
    for call in said.calls:
        if (arguments := _arguments(call)) is None:
            text += f"{call.name}({call.arguments})"
        else:
            calls.append({"id": call.id, "function": {"index": len(calls), "name": call.name, "arguments": arguments}})
    return calls, text


def _arguments(call: ToolCall) -> Json | None:
    found = read_arguments(call.arguments)
    return found if isinstance(found, dict) else None
