"""Which of several machines is blamed where llama.cpp says only that one of them is gone."""

from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial

import pytest

from runner.client.far import meet
from runner.client.heartbeat import Heartbeats
from runner.types.codec import pack
from runner.types.lending import Pulse
from tests.support.listeners import OFFER, a_worker, listening
from tests.support.waiting import until

WELL = Pulse(is_running=True)


@pytest.mark.parametrize(
    ("later", "said"),
    [
        ((WELL, WELL), ("a (1) or b (2)", "has closed the connection")),
        ((WELL, replace(WELL, hang_ups=1)), ("b (2)", "has closed the connection")),
        ((replace(WELL, lives=2), replace(WELL, hang_ups=1)), ("a (1)", "had to start again")),
        ((replace(WELL, is_running=False), WELL), ("a (1)", "does not compute any more")),
    ],
)
def test_one_of_two_is_gone(later: tuple[Pulse, Pulse], said: tuple[str, str]) -> None:
    now = [WELL, WELL]
    with ExitStack() as stack:
        hearts = stack.enter_context(closing(Heartbeats()))
        for index, name in enumerate(("a", "b")):
            offer = pack(replace(OFFER, host=name))
            at = stack.enter_context(listening(a_worker(offer, partial(now.__getitem__, index))))
            hearts.add(replace(meet(at, at), endpoint=str(index + 1)))
        until(lambda: len(hearts.pulses) == len(now), lambda: hearts.pulses)
        now[:] = later
        until(lambda: tuple(hearts.pulses.values()) == later, lambda: hearts.pulses)
        assert hearts.blamed(0) == (said,)
