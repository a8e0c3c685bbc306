"""Tokens per second as a curve: how many came between two ticks of a clock. Pure."""

from dataclasses import dataclass

from runner.types.drafts import Drafted
from runner.types.generation import Chunk, Phase
from runner.types.plan import Predicted
from runner.types.slowness import Slowness

_KEPT = 240


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast it is, and was promised to be; `history` are tokens per second, oldest first, one value per tick.

    Tokens per second and seconds; None until known. `context_used` of `context` tokens. `predicted_prefill` is None
    also where the prompt was too short to be compared.
    """

    history: tuple[float, ...] = ()
    decode_tps: float | None = None
    prefill_tps: float | None = None
    ttft_s: float | None = None
    context_used: int = 0
    context: int = 0
    predicted_decode: float | None = None
    predicted_prefill: float | None = None
    slowness: Slowness | None = None
    draft: Drafted | None = None


class SpeedHistory:
    """Speeds of the turn under way and of those before it."""

    def __init__(self) -> None:
        self._history: list[float] = []
        self._before: tuple[float, int] | None = None

    def count(self, now: float, last: Chunk | None) -> None:
        """A tick at `now` seconds; `last` is the newest chunk of a running turn, None between turns."""
        if last is None or last.phase is not Phase.DECODE:
            self._before = None
            return
        if self._before and now > self._before[0] and last.completion_tokens >= self._before[1]:
            rate = (last.completion_tokens - self._before[1]) / (now - self._before[0])
            self._history = [*self._history, rate][-_KEPT:]
        self._before = (now, last.completion_tokens)

    def speed(self, last: Chunk | None, context: int, predicted: Predicted | None) -> Speed:
        """Everything about speed and context: the rate of the last half second, after a turn that of all of it."""
        decode, prefill = (predicted.decode_tps, predicted.prefill_tps) if predicted else (None, None)
        chunk = last or Chunk(Phase.PREFILL)
        return Speed(
            history=tuple(self._history),
            decode_tps=self._history[-1] if last and self._before and self._history else chunk.decode_tps,
            prefill_tps=chunk.prefill_tps,
            ttft_s=chunk.ttft_s,
            context_used=chunk.context_used,
            context=context,
            predicted_decode=decode,
            draft=chunk.draft,
            predicted_prefill=None if chunk.prefill_tps and chunk.comparable_prefill_tps is None else prefill,
        )
