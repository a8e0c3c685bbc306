"""Tokens per second as a curve: how many came between two ticks of a clock. Pure."""

from runner.types.generation import Chunk, Phase
from runner.types.plan import Predicted
from tui.widgets.speed import Speed

_KEPT = 240


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
        if last is None:
            return Speed(tuple(self._history), context=context, predicted=predicted)
        now = self._history[-1] if self._before and self._history else last.decode_tps
        return Speed(tuple(self._history), now, last.prefill_tps, last.ttft_s, last.context_used, context, predicted)
