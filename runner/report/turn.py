"""A turn in words: while it runs, and how it went. Pure."""

import json

from runner.report.reread import no_way_back
from runner.report.words import plural, rate, seconds
from runner.types.drafts import Drafted, DraftKind
from runner.types.generation import Chunk, Finish, Phase
from runner.types.tools import ToolCall, read_arguments

CORRECTED = "changed by you"


def after_turn(last: Chunk, ctx: int, reread: str | None = None) -> str:
    """The numbers of a turn in one line, with why it ended; `ctx` tokens are what the context holds.

    `reread`: why much of the prompt was read anew, where more is known of it than the numbers tell.
    """
    facts = [*_written(last)]
    if last.ttft_s is not None:
        facts.append(f"first token {seconds(last.ttft_s)}")
    if last.prompt_tokens:
        why = reread or no_way_back(last)
        facts.append(_read(last) + (f" ({why})" if why else ""))
    return " · ".join([*facts, _ending(last, ctx)])


def cut_short(last: Chunk, ctx: int, *, is_thinking: bool) -> str:
    """What ended an answer too soon; empty where nothing has. `is_thinking`: before it said a word."""
    if last.finish is Finish.STOP and is_thinking:
        return "The model ended its answer before it said a word."
    if last.finish is not Finish.LENGTH or last.happened:  # that was said
        return ""
    while_thinking = ", while the model was still thinking" if is_thinking else ""
    if _is_full(last, ctx):
        return f"The answer ends here{while_thinking}: the context of {ctx:,} tokens is full (--ctx asks for more)."
    return f"The answer ends here{while_thinking}: --max-tokens {last.completion_tokens} is reached."


def _read(last: Chunk) -> str:
    """What of the prompt was in the cache, and what was not."""
    prompt = plural(last.prompt_tokens, "prompt token")
    if not last.cached_tokens:
        return f"{prompt} read"
    return f"{last.cached_tokens:,} of {prompt} kept, {last.prompt_tokens - last.cached_tokens:,} read anew"


def call_line(call: ToolCall) -> str:
    """A call as a line of JSON; arguments that are none stay the text that they are."""
    return json.dumps({"name": call.name, "arguments": read_arguments(call.arguments)}, ensure_ascii=False)


def under_way(last: Chunk) -> str:
    """The same while it runs."""
    if last.phase is Phase.WAITING:
        return f"Waiting for room: {seconds(last.waited_s)}"
    return prefill_line(last) or " · ".join(_written(last))


def prefill_line(last: Chunk) -> str:
    """A prompt that is being read; what is kept of an earlier turn is not read again. Empty where nothing is."""
    whole = last.prompt_tokens - last.cached_tokens
    if last.phase is not Phase.PREFILL or not 0 < last.prefilled < whole:
        return ""
    facts = [f"Reading the prompt: {last.prefilled:,} of {plural(whole, 'token')}"]
    return " · ".join([*facts, rate(last.prefill_tps)] if last.prefill_tps is not None else facts)


def _written(last: Chunk) -> list[str]:
    count = [plural(last.completion_tokens, "token")]
    speed = [rate(last.decode_tps)] if last.decode_tps is not None else []
    return [*count, *speed, *([drafted_line(last.draft)] if last.draft else [])]


def drafted_line(draft: Drafted) -> str:
    """What guesses have brought: `14 of 20 tokens guessed by the small model right, 1.32 × as fast`."""
    tokens = f"tokens guessed by {_GUESSERS[draft.kind]}" if draft.kind in _GUESSERS else "guessed tokens"
    return f"{draft.accepted:,} of {draft.drafted:,} {tokens} right, {draft.gain:.2f} × as fast"


_GUESSERS = {DraftKind.MTP: "its own heads", DraftKind.MODEL: "the small model"}


def _ending(last: Chunk, ctx: int) -> str:
    if last.finish is Finish.LENGTH and not last.happened:
        return "the context is full" if _is_full(last, ctx) else "stopped at max-tokens"
    return _ENDINGS.get(last.finish, "ended early")


_ENDINGS: dict[Finish | None, str] = {
    Finish.STOP: "complete",
    Finish.CALLS: "waits for the results of its calls",
    Finish.INTERRUPTED: "stopped by you",
    Finish.ERROR: "the engine failed",
}


def _is_full(last: Chunk, ctx: int) -> bool:
    """Whether no token more would fit; the last one of an answer was drawn, and takes no cell yet."""
    return last.context_used + 1 >= ctx
