"""Tokens and likelihoods as OpenAI counts them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from runner.types.generation import Chunk, Finish, LikelyToken, TokenLogprobs

_FINISHES = {Finish.STOP: "stop", Finish.LENGTH: "length", Finish.CALLS: "tool_calls"}


def usage_json(lasts: Iterable[Chunk | None]) -> dict[str, Any]:
    """Of all answers to a request, by their last steps; the prompt counts once."""
    chunks = [last for last in lasts if last is not None]
    prompt = max((chunk.prompt_tokens for chunk in chunks), default=0)
    answered = sum(chunk.completion_tokens for chunk in chunks)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answered,
        "total_tokens": prompt + answered,
        "prompt_tokens_details": {"cached_tokens": chunks[0].cached_tokens if chunks else 0},
        "completion_tokens_details": {"reasoning_tokens": sum(chunk.reasoning_tokens for chunk in chunks)},
    }


def finish_of(last: Chunk | None) -> str | None:
    """Why an answer ended; None as long as it goes on."""
    return _FINISHES.get(last.finish) if last is not None and last.finish is not None else None


def logprobs_json(found: Sequence[TokenLogprobs], is_asked: bool) -> dict[str, Any] | None:
    """Of a piece of a chat's answer."""
    if not is_asked:
        return None
    return {"content": likely(found)}


def likely(found: Sequence[TokenLogprobs]) -> list[dict[str, Any]]:
    """Tokens with their likelihood, and with others beside each."""
    return [{**_likely(one.drawn), "top_logprobs": [*map(_likely, one.top)]} for one in found]


def _likely(one: LikelyToken) -> dict[str, Any]:
    return {"token": one.token, "logprob": one.logprob, "bytes": list(one.bytes)}
