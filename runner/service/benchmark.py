"""Measured decode, prefill and time to first token of a loaded model, next to what was predicted.

As llama-bench does it: decode is 128 tokens at depth 0, greedy, end-of-generation ignored; prefill 512 tokens.
Five runs after a warm-up; the numbers are medians.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from models.errors import EngineError
from runner.client.session import EngineSession
from runner.types.generation import Chunk
from runner.types.sampling import Sampling

RUNS = 5
DECODE_TOKENS = 128
PREFILL_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Measured:
    """Medians and ranges over the runs; tokens per second and seconds."""

    decode_tps: float
    decode_range: tuple[float, float]
    prefill_tps: float
    prefill_range: tuple[float, float]
    ttft_s: float
    last: Chunk


def measure(session: EngineSession, runs: int = RUNS, told: Callable[[str], None] = lambda _text: None) -> Measured:
    """Run the benchmark."""
    prompt, tokens = prompt_for(session)
    _decode(session)
    decode, prefill, ttft = [], [], []
    for run in range(runs):
        told(f"Run {run + 1} of {runs}")
        last = _decode(session)
        decode.append(last.decode_tps or 0.0)
        read = _turn(session, prompt, 1)
        prefill.append(read.prefill_tps or 0.0)
        ttft.append(read.ttft_s or 0.0)
    if not all(decode) or not all(prefill):
        raise EngineError(f"The context of {session.loaded.ctx} is too short to measure {tokens} tokens.")
    return Measured(
        statistics.median(decode),
        (min(decode), max(decode)),
        statistics.median(prefill),
        (min(prefill), max(prefill)),
        statistics.median(ttft),
        last,
    )


def _turn(session: EngineSession, prompt: str, tokens: int) -> Chunk:
    sampling = Sampling(temperature=0, max_tokens=tokens)
    turn = session.generate((), sampling, raw=prompt, ignore_end=True, reuse=False)
    return list(turn)[-1]


def _decode(session: EngineSession) -> Chunk:
    """One token of prompt, then 128 and one: the first comes with the prompt, the others are timed."""
    return _turn(session, "The", min(DECODE_TOKENS + 1, session.loaded.ctx - 2))


def prompt_for(session: EngineSession) -> tuple[str, int]:
    """A text of 512 tokens, or of what the context holds."""
    wanted = min(PREFILL_TOKENS, session.loaded.ctx - 2)
    words = " a" * (wanted - 1)
    return f"The{words}", wanted
