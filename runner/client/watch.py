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
    """

    idle_s: float
    silent_s: float | None
    steady_s: float | None = None


# What no step takes. llama.cpp maps a whole file in one step, and then it reads as slowly as the disk does.
USUAL = Limits(30.0, 300.0)
_TIMES = 20  # slower than predicted, and busy with others
_STEADY_S = 7.5  # as long as a worker may be silent
_STEADY_TIMES = 5  # longer than predicted, or than any silence so far
_BEGUN = 2  # steps are told by then: that it begins, and the first that has ended
BY_COMMAND: dict[type, Limits | None] = {
    commands.AddRpc: Limits(8.0, 30.0),
    commands.Load: Limits(60.0, None),
    commands.Lend: None,
}


def patience(command: Command[object]) -> Limits | None:
    """How long to wait for the next word about a command; None for one that has nothing to say."""
    return BY_COMMAND.get(type(command), USUAL)


def answering(step_s: float) -> Limits:
    """The same for an answer, whose steps should take so long. Another machine may be the one that is busy."""
    longest = _TIMES * step_s
    return Limits(max(USUAL.idle_s, longest), max(USUAL.silent_s or 0.0, longest))


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
    )


def _longest(seconds: list[float | None]) -> float | None:
    known = [one for one in seconds if one is not None]
    return max(known) if len(known) == len(seconds) else None


class Watch:
    """Counts in ticks of its own, so that a machine that was suspended has not been idle.

    `elsewhere` changes as long as other machines work for the process.
    """

    def __init__(self, pid: int, limits: Limits | None, elsewhere: Callable[[], Hashable] = lambda: None) -> None:
        self._pid, self.limits, self._elsewhere = pid, limits, elsewhere
        self.begin()

    def begin(self) -> None:
        """It is asked for something, and did nothing before."""
        self._idle = self._silent = self._longest = self._steps = 0
        self._used = self._work()

    def heard(self, *, is_step: bool = False) -> None:
        """It said something."""
        self._steps += 1 if is_step else 0
        self._longest = max(self._longest, self._silent)
        self._idle = self._silent = 0
        self._used = self._work()

    def waited_s(self) -> float | None:
        """After another tick of silence: the seconds that were too many, None while there is hope."""
        used = self._work()
        self._idle = self._idle + 1 if used == self._used else 0
        self._silent, self._used = self._silent + 1, used
        if self.limits is None:
            return None
        for ticks, limit in ((self._idle, self._may_idle_s(self.limits)), (self._silent, self.limits.silent_s)):
            if limit is not None and ticks * TICK_S > limit:
                return ticks * TICK_S
        return None

    def _may_idle_s(self, limits: Limits) -> float:
        if limits.steady_s is None or self._steps < _BEGUN:
            return limits.idle_s
        return min(limits.idle_s, max(limits.steady_s, _STEADY_TIMES * self._longest * TICK_S))

    def _work(self) -> Hashable:
        return cpu_seconds(self._pid), self._elsewhere()
