"""Whether an engine still works on a command: it says something, or it uses the processor."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace

from runner.hardware.host import cpu_seconds
from runner.types import commands
from runner.types.pipe import Command

TICK_S = 0.2  # the engine is listened to for so long before it is looked at


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: how long an engine may do nothing at all, and how long it may be busy without a word (None: for ever).

    It says that it goes on wherever llama.cpp lets it: between tensors, tokens and the CPU's operations. `steady_s`:
    how long it may do nothing once a step has ended, if the silences before were short (None: as long as at first).
    `road_s`: how long it may wait for a machine that says nothing of itself, while not a byte moves (None: as idle).
    """

    idle_s: float
    silent_s: float | None
    steady_s: float | None = None
    road_s: float | None = None


# What no step takes. llama.cpp maps a whole file in one step, and then it reads as slowly as the disk does.
USUAL = Limits(30.0, 300.0)
_TIMES = 20  # slower than predicted, and busy with others
_STEADY_S = 7.5  # as long as a worker may be silent
_STEADY_TIMES = 5  # longer than predicted, or than any silence so far
_ROAD_S = 8.0
_SLOW_DISK = 100e6  # bytes a second; a server may keep weights on one
_LOAD_S = 60.0
_BEGUN = 2  # steps are told by then: that it begins, and the first that has ended
BY_COMMAND: dict[type, Limits | None] = {
    commands.AddRpc: Limits(8.0, 30.0),
    commands.Load: Limits(_LOAD_S, None),
    commands.Lend: None,
}


def patience(command: Command[object]) -> Limits | None:
    """How long to wait for the next word about a command; None for one that has nothing to say."""
    return BY_COMMAND.get(type(command), USUAL)


def answering(step_s: float) -> Limits:
    """The same for an answer, whose steps should take so long. Another machine may be the one that is busy."""
    longest = _TIMES * step_s
    return Limits(max(USUAL.idle_s, longest), max(USUAL.silent_s or 0.0, longest), road_s=max(_ROAD_S, longest))


def loading(layer: float) -> Limits:
    """The same for a load: nobody is heard while the bytes of a layer come from a disk somewhere."""
    return Limits(_LOAD_S, None, road_s=_ROAD_S + layer / _SLOW_DISK)


def steady(limits: Limits, step_s: float) -> Limits:
    """The same where a machine computes that says nothing of itself: its end shows only in that nothing goes on."""
    return replace(limits, steady_s=max(_STEADY_S, _STEADY_TIMES * step_s))


def most_patient(asked: Iterable[Limits | None]) -> Limits | None:
    """For several commands side by side: what is said about one of them is said for all."""
    limits = list(asked)
    known = [one for one in limits if one]
    if not known or len(known) < len(limits):
        return None
    return Limits(
        max(one.idle_s for one in known),
        _longest([one.silent_s for one in known]),
        _longest([one.steady_s for one in known]),
        _longest([one.road_s for one in known]),
    )


def _longest(seconds: list[float | None]) -> float | None:
    known = [one for one in seconds if one is not None]
    return max(known) if len(known) == len(seconds) else None


class Watch:
    """Counts in ticks of its own, so that a machine that was suspended has not been idle.

    `elsewhere` changes as long as other machines work for the process; `road` as long as bytes move on a connection on
    which it waits for one that says nothing of itself, and is None where it waits on none.
    """

    def __init__(
        self,
        pid: int,
        limits: Limits | None,
        elsewhere: Callable[[], Hashable] = lambda: None,
        road: Callable[[], Hashable] = lambda: None,
    ) -> None:
        self._pid, self.limits, self._elsewhere, self._road = pid, limits, elsewhere, road
        self.begin()

    def begin(self) -> None:
        """It is asked for something, and did nothing before."""
        self._longest = self._steps = 0
        self._start_over()

    def heard(self, *, is_step: bool = False) -> None:
        """It said something."""
        self._steps += 1 if is_step else 0
        self._longest = max(self._longest, self._silent)
        self._start_over()

    def _start_over(self) -> None:
        self._idle = self._silent = self._stuck = 0
        self._used: Hashable = self._work()
        self._waits: Hashable = None

    def waited_s(self) -> float | None:
        """After another tick of silence: the seconds that were too many, None while there is hope."""
        used = self._work()
        self._idle = self._idle + 1 if used == self._used else 0
        self._silent, self._used = self._silent + 1, used
        limits = self.limits
        if limits is None:
            return None
        self._look_at_the_road(limits)
        every = (
            (self._idle, self._may_idle_s(limits)),
            (self._silent, limits.silent_s),
            (self._stuck, self._at_least_steady(limits.road_s)),
        )
        return next((ticks * TICK_S for ticks, limit in every if limit is not None and ticks * TICK_S > limit), None)

    def _look_at_the_road(self, limits: Limits) -> None:
        waits = self._road() if limits.road_s is not None else None
        self._stuck = self._stuck + 1 if waits is not None and waits == self._waits else 0
        self._waits = waits

    def _may_idle_s(self, limits: Limits) -> float:
        steady_s = self._at_least_steady(limits.steady_s)
        return limits.idle_s if steady_s is None or self._steps < _BEGUN else min(limits.idle_s, steady_s)

    def _at_least_steady(self, seconds: float | None) -> float | None:
        """Or several times the longest silence so far."""
        return None if seconds is None else max(seconds, _STEADY_TIMES * self._longest * TICK_S)

    def _work(self) -> Hashable:
        return cpu_seconds(self._pid), self._elsewhere()
