"""When an answer counts as slow: chunks with the engine's own clock, and two measurements."""

from collections.abc import Iterable

import pytest

from runner.client.slow_watch import SlowWatch
from runner.hardware.causes import Workload
from runner.types.generation import Chunk, Phase
from runner.types.sample import EngineUse, Strain
from runner.types.slowness import OnBattery, Slowness


class Told:
    """Chunks of an answer that is heard, a few a second, and how often the machine was measured."""

    def __init__(self, predicted: float | None = 100.0) -> None:
        self.measured = 0
        self.seconds = self.tokens = 0.0
        self.watch = SlowWatch(predicted, self.measure, lambda tokens: Workload(2, {}, tokens, 2048))

    def measure(self) -> Strain:
        self.measured += 1
        return Strain(float(self.measured), (), EngineUse(0.0, 2.0), on_battery=True)

    def hear(self, rates: Iterable[float]) -> Slowness | None:
        """A second at each rate."""
        for rate in rates:
            for _ in range(4):
                self.seconds += 0.25
                self.tokens += rate / 4
                count = round(self.tokens)
                self.watch.hear(
                    Chunk(Phase.DECODE, completion_tokens=count, decode_tps=count / self.seconds, context_used=count)
                )
        return self.watch.found


def test_ten_slow_seconds_are_told_with_their_cause() -> None:
    told = Told()
    assert told.hear([60.0] * 10) is None
    found = told.hear([60.0] * 2)
    assert found is not None
    assert found.below == pytest.approx(0.4, abs=0.02)
    assert found.cause == OnBattery()
    assert told.measured == 2


def test_a_fast_second_begins_anew_and_takes_it_back() -> None:
    told = Told()
    assert told.hear([60.0] * 6 + [90.0] + [60.0] * 6) is None
    assert told.hear([60.0] * 6) is not None
    assert told.hear([90.0] * 2) is None


def test_what_lasts_is_looked_at_again() -> None:
    told = Told()
    told.hear([60.0] * 12)
    found = told.hear([30.0] * 22)
    assert found is not None
    assert found.below == pytest.approx(0.7, abs=0.02)
    assert told.measured == 4


@pytest.mark.parametrize(("rate", "predicted"), [(80.0, 100.0), (5.0, None)])
def test_nothing_is_measured_where_it_is_fast_enough_or_nothing_was_predicted(rate: float, predicted: float) -> None:
    told = Told(predicted)
    assert told.hear([rate] * 30) is None
    assert told.measured == 0
