"""Sentences and sums about turns: how one ended, what goes on, what fits the context. Pure."""

from collections.abc import Sequence

from runner.report import sentences
from runner.storage.conversations import Turn
from runner.types.generation import Chunk, Finish, Message, Phase
from runner.types.plan import Candidate, Verdict
from runner.types.sampling import Sampling
from tui.view.text import plural, rate, seconds

_RESERVE = 256


def note(last: Chunk, ctx: int) -> str:
    """The line below a turn: tokens, speed, time to the first token, why it ended."""
    parts = [plural(last.completion_tokens, "token")]
    if last.decode_tps is not None:
        parts.append(f"{rate(last.decode_tps)} tok/s")
    if last.ttft_s is not None:
        parts.append(f"first token {seconds(last.ttft_s)}")
    if last.cached_tokens:
        parts.append(f"{last.cached_tokens:,} of {last.prompt_tokens:,} prompt tokens kept")
    ending = {
        None: "ended early",
        Finish.STOP: "complete",
        Finish.LENGTH: "the context is full" if last.context_used >= ctx else "stopped at max-tokens",
        Finish.INTERRUPTED: "stopped by you",
        Finish.ERROR: "failed",
    }[last.finish]
    return " · ".join([*parts, ending])


def under_way(last: Chunk) -> str:
    """The line below a turn while it runs."""
    if last.phase is Phase.PREFILL:
        whole = last.prompt_tokens - last.cached_tokens
        speed = f" · {rate(last.prefill_tps)} tok/s" if last.prefill_tps is not None else ""
        return f"reading the prompt: {last.prefilled:,} of {plural(whole, 'token')}{speed}"
    speed = f" · {rate(last.decode_tps)} tok/s" if last.decode_tps is not None else ""
    return f"{plural(last.completion_tokens, 'token')}{speed} · Esc stops"


def room_for_answer(sampling: Sampling, ctx: int) -> int:
    """Tokens that must stay free for an answer to be worth beginning."""
    return min(sampling.max_tokens or _RESERVE, _RESERVE, max(1, ctx // 8))


def more_context(needed: int, ctx: int, trained: int) -> int | None:
    """The next context length that leaves as much room again as is needed now; None: the model has no more."""
    wanted = ctx
    while wanted < needed + _RESERVE:
        wanted *= 2
    return min(wanted, trained) if min(wanted, trained) >= needed + _RESERVE else None


def drop_points(turns: Sequence[Turn], skipped: int) -> list[int]:
    """How many turns may be left out so that what is sent begins with a question; the last question stays."""
    questions = [index for index, turn in enumerate(turns) if turn.role == "user"]
    return [index for index in questions if index > skipped]


def sent(system: str, turns: Sequence[Turn], skipped: int) -> list[Message]:
    """What the model is sent: the system prompt and all turns but the skipped ones."""
    head = [Message("system", system)] if system else []
    return head + [Message(turn.role, turn.text, turn.reasoning or None) for turn in turns[skipped:]]


def cost(candidate: Candidate) -> str:
    """The sentences about what costs speed; nothing where everything is on the GPUs."""
    slow = candidate.verdict in (Verdict.SPLIT, Verdict.CPU)
    return " ".join(sentences.reasons(candidate)) if slow else ""
