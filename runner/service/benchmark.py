"""Measured decode, prefill and time to first token of a loaded model, next to what was predicted.

As llama-bench does it: decode is 128 tokens at depth 0, greedy, end-of-generation ignored; prefill 512 tokens, of
different words. Five runs after a warm-up; the numbers are medians.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

from models.errors import EngineError, PromptTooLong
from runner.client.session import EngineSession
from runner.types.generation import Chunk, Request
from runner.types.measurement import Benchmark, DraftBenchmark
from runner.types.sampling import Sampling
from runner.types.varied import varied

RUNS = 5
DECODE_TOKENS = 128
WORDS_AGAIN = 100
_PAIRS = 2  # of a text with guesses, and without
_PROSE = "A letter from a sailor to his sister about the sea and the people on board. Dear sister,"
PREFILL_TOKENS = 512


def measure(session: EngineSession, runs: int = RUNS, told: Callable[[str], None] = lambda _text: None) -> Benchmark:
    """Run the benchmark; `told` hears where it is. EngineError where the context is too short for it."""
    prompt = prompt_for(session)
    _decode(session)
    decodes, prefills = [], []
    for run in range(runs):
        told(f"Run {run + 1} of {runs}")
        decodes.append(_decode(session))
        prefills.append(turn(session, prompt, 1))
    decode = [last.decode_tps or 0.0 for last in decodes]
    prefill = [last.prefill_tps or 0.0 for last in prefills]
    if not all(decode) or not all(prefill):
        raise EngineError(f"The context of {session.loaded.ctx} is too short to measure {PREFILL_TOKENS} tokens.")
    return Benchmark(
        decode_tps=statistics.median(decode),
        decode_range=(min(decode), max(decode)),
        prefill_tps=statistics.median(prefill),
        prefill_range=(min(prefill), max(prefill)),
        ttft_s=statistics.median(last.ttft_s or 0.0 for last in prefills),
        prompt_tokens=prefills[-1].prompt_tokens,
        last=decodes[-1],
        draft=_drafted(session, _said_again(), WORDS_AGAIN) if session.placement.drafts else None,
        companion=_drafted(session, _PROSE, WORDS_AGAIN) if session.placement.companion else None,
        traffic=tuple((one.device, one.traffic) for one in session.sample().devices if one.traffic is not None),
    )


def turn(session: EngineSession, prompt: str, tokens: int, *, drafts: bool = False) -> Chunk:
    """The last chunk of an answer of so many tokens, greedy, to a prompt that is read anew."""
    sampling = Sampling(temperature=0, repeat_penalty=1, max_tokens=tokens)
    request = Request(raw=prompt, sampling=sampling, ignore_end=True, reuse=False, drafts=drafts)
    return list(session.ask(request))[-1]


def _said_again() -> str:
    """A text that has begun to say itself again."""
    text = varied(WORDS_AGAIN)
    return f"{text}\n\n{text[: len(text) // 4]}"


def _drafted(session: EngineSession, prompt: str, tokens: int) -> DraftBenchmark | None:
    """What follows a prompt, with guesses and without, in turns; None where nothing is guessed."""
    pairs = [[turn(session, prompt, tokens, drafts=drafts) for drafts in (True, False)] for _ in range(_PAIRS)]
    with_them, without = ([last.decode_tps or 0.0 for last in ends] for ends in zip(*pairs, strict=True))
    drafts = [last.draft for last, _ in pairs if last.draft]
    if not drafts:
        return None
    drafted, accepted = sum(one.drafted for one in drafts), sum(one.accepted for one in drafts)
    medians = statistics.median(with_them), statistics.median(without)
    return DraftBenchmark(drafts[0].kind, *medians, drafted, accepted)


def _decode(session: EngineSession) -> Chunk:
    """One token of prompt, then 128 and one: the first comes with the prompt, the others are timed."""
    return turn(session, "The", min(DECODE_TOKENS + 1, session.loaded.ctx - 2))


def prompt_for(session: EngineSession, tokens: int = PREFILL_TOKENS) -> str:
    """A text of different words that has so many tokens, or a few less, or what the context holds."""
    most = min(tokens, session.loaded.ctx - 2)
    words = most
    while (found := _count(session, varied(words))) > most:  # a first token of the model's own, or words of several
        words = min(words - 1, words * most // found)
    return varied(words)


def _count(session: EngineSession, text: str) -> int:
    """Its tokens; of a text that is far too long, as many as would have it halved."""
    try:
        return session.count_text(text)
    except PromptTooLong:
        return 2 * session.loaded.ctx
