"""The server in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runner.report.sentences import why
from runner.report.words import gib, percent, seconds
from runner.types.generation import Chunk, Phase
from runner.types.plan import Plan

OLLAMA_PROBE = "localrun is running, and answers what Ollama is asked."
"""For programs that look whether Ollama is there."""


def does_not_fit(name: str, plan: Plan, held: Sequence[tuple[str, int]]) -> str:
    """Why a model has no room; `held`: what is loaded, each with its bytes."""
    others = ", ".join(f"{one} ({gib(size)})" for one, size in held)
    beside = f" beside what is loaded: {others}" if others else ""
    return f"{name} does not fit{beside}. {why(plan)}"


def loading_words(name: str, fraction: float | None) -> str:
    """How far a load is."""
    return f"loading {name}" + ("" if fraction is None else f", {percent(fraction)}")


def waiting_words(chunk: Chunk) -> str:
    """What goes on before the first word of an answer; empty once there are some."""
    if chunk.phase is Phase.WAITING:
        return f"waiting for room, {seconds(chunk.waited_s)}"
    if chunk.phase is Phase.PREFILL:
        return f"reading the prompt, {chunk.prefilled} of {chunk.prompt_tokens - chunk.cached_tokens} tokens"
    return ""


def no_private_door(why: str) -> str:
    """The server serves all the same."""
    return f"{why} localrun ps and stop do not see this server."


def listening_words(host: str, port: int, *, is_private: bool) -> tuple[str, ...]:
    """Where a server listens, and what that means."""
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    listens = f"Listening on {address}; programs that want an OpenAI server take {address}/v1. Ctrl-C ends it."
    if is_private:
        return (listens,)
    return listens, "Other computers reach it, and what they send and get is not encrypted: others can read it."
