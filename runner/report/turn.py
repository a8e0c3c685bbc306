"""A turn in words: while it runs, and how it went. Pure."""

from runner.report.words import plural, rate, seconds
from runner.types.generation import Chunk, Finish, Phase


def after_turn(last: Chunk, ctx: int) -> str:
    """The numbers of a turn in one line, with why it ended; `ctx` tokens are what the context holds."""
    facts = [*_written(last)]
    if last.ttft_s is not None:
        facts.append(f"first token {seconds(last.ttft_s)}")
    if last.cached_tokens:
        facts.append(f"{last.cached_tokens:,} of {plural(last.prompt_tokens, 'prompt token')} kept")
    return " · ".join([*facts, _ending(last, ctx)])


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
    return [*count, rate(last.decode_tps)] if last.decode_tps is not None else count


def _ending(last: Chunk, ctx: int) -> str:
    match last.finish:
        case None:
            return "ended early"
        case Finish.STOP:
            return "complete"
        case Finish.LENGTH:
            return "the context is full" if last.context_used >= ctx else "stopped at max-tokens"
        case Finish.INTERRUPTED:
            return "stopped by you"
        case Finish.ERROR:
            return "the engine failed"
