"""An answer that goes on in another engine: what is left to ask of that one, and both as one answer. Pure."""

from __future__ import annotations

from dataclasses import replace

from runner.types.generation import Chunk, Message, Phase, Request

_OF_THE_PROMPT = ("prompt_tokens", "cached_tokens", "shared_tokens", "prefilled", "prefill_tps", "ttft_s")


class Resumed:
    """What a request has brought so far, over all engines that worked on it."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._text, self._reasoning = "", ""
        self._tokens = self._thought = 0  # of the engines before
        self.has_called = False
        """Whether a call has begun: its words are no text that could be gone on with."""
        self.last = self._first = Chunk(Phase.PREFILL)

    def joined(self, chunk: Chunk) -> Chunk:
        """A chunk of the engine that is at work, counted from the start of the answer."""
        tokens, thought = self._tokens + chunk.completion_tokens, self._thought + chunk.reasoning_tokens
        whole = replace(chunk, completion_tokens=tokens, reasoning_tokens=thought)
        if self._tokens and chunk.phase is not Phase.PREFILL:
            whole = replace(whole, **{name: getattr(self._first, name) for name in _OF_THE_PROMPT})
        self._text, self._reasoning = chunk.behind(self._text, self._reasoning)
        self.has_called, self.last = self.has_called or bool(chunk.calls), whole
        return whole

    def rest(self) -> Request:
        """What the next engine is asked: to go on where the last one was."""
        if not (self._text or self._reasoning):
            return self._request
        self._first, self._tokens = self.last, self.last.completion_tokens
        self._thought = self.last.reasoning_tokens
        sampling, raw = self._request.sampling, self._request.raw
        if sampling.max_tokens is not None:
            sampling = replace(sampling, max_tokens=max(1, sampling.max_tokens - self._tokens))
        return replace(
            self._request,
            messages=self._request.messages if raw is not None else self._begun(),
            raw=raw if raw is None else raw + self._text,
            sampling=replace(sampling, seed=self.last.seed),
            resumed=self._text,
        )

    def _begun(self) -> tuple[Message, ...]:
        """The conversation with the answer's words at its end."""
        *history, last = self._request.messages
        if last.role != "assistant":
            history, last = [*history, last], Message("assistant", "")
        reasoning = (last.reasoning or "") + self._reasoning
        return (*history, replace(last, content=last.content + self._text, reasoning=reasoning or None))
