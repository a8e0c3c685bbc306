"""Whether an answer stays slower than predicted, and why: heard from its chunks, measured only while it does."""

from __future__ import annotations

from collections.abc import Callable

from runner.hardware.causes import Workload, likeliest
from runner.types.generation import Chunk, Phase
from runner.types.sample import Strain
from runner.types.slowness import Slowness

SLOW = 0.75  # of the prediction
PATIENCE_S = 10.0
_STEP_S = 1.0


class SlowWatch:
    """Hears the chunks of one answer. `predicted` tokens per second (None: never slow); `measure` is asked at both ends
    of a slow stretch, `work` at its end with the tokens in the context. Time is the engine's own, so that a reader who
    takes long changes nothing.
    """

    def __init__(
        self,
        predicted: float | None,
        measure: Callable[[], Strain | None],
        work: Callable[[int], Workload],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.found: Slowness | None = None
        self._predicted, self._measure, self._work, self._patience_s = predicted, measure, work, patience_s
        self._step: tuple[float, int] | None = None
        self._slow_from: tuple[float, int] | None = None
        self._before: Strain | None = None

    def hear(self, chunk: Chunk) -> None:
        """A step of the answer."""
        if chunk.phase is not Phase.DECODE or not chunk.decode_tps or not self._predicted:
            return
        now = (chunk.completion_tokens / chunk.decode_tps, chunk.completion_tokens)
        if self._step is None:
            self._step = now
        elif now[0] - self._step[0] >= _STEP_S:
            self._judge(self._step, now, chunk.context_used)
            self._step = now

    def _judge(self, then: tuple[float, int], now: tuple[float, int], tokens: int) -> None:
        """A second went by: it was fast, the first slow one, or one of many."""
        if not self._predicted or _rate(then, now) > SLOW * self._predicted:
            self.found = self._slow_from = self._before = None
        elif self._slow_from is None:
            self._slow_from, self._before = then, self._measure()
        elif now[0] - self._slow_from[0] >= self._patience_s:
            after = self._measure()
            cause = likeliest(self._before, after, self._work(tokens)) if self._before and after else None
            self.found = Slowness(1 - _rate(self._slow_from, now) / self._predicted, cause)
            self._slow_from, self._before = now, after


def _rate(then: tuple[float, int], now: tuple[float, int]) -> float:
    return (now[1] - then[1]) / (now[0] - then[0])
