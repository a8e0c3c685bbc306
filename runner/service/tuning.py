"""The few best placements of a model measured beside each other, for about as long as one wants to wait.

The planner's own comes first; then, one variable at a time, what differs from the best so far. At the end the best and
the planner's own are measured once more, for whatever else the machine does must not decide. Of all measurements of a
placement the fastest counts: disturbances only slow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace

from models.errors import EngineError, LocalrunError, OutOfMemory
from runner.client.session import EngineSession
from runner.planning.rivals import Contest, Rival, Variable, as_measured, exchange_for, rivals
from runner.service.benchmark import prompt_for, turn
from runner.types.engine import LoadProgress
from runner.types.placement import Placement
from runner.types.plan import Plan
from runner.types.tuning import Timed, Trial, Tuning

WORTH_KEEPING = 0.03  # of the time; measurements differ by as much
WORTH_A_GLANCE = 0.1  # where there was no time for a second look
TRIALS = 12  # in the budget: so long is each request, as predicted
_SEARCH = 0.75  # of the budget, the rest is for the second look
_WARM_UP = (32, 2)  # tokens of a prompt and an answer that are not timed

Load = Callable[[Plan, int], Iterator[LoadProgress | EngineSession]]


class Tuner:
    """Measures placements of one candidate of a plan; `own` is the planner's, without what was tuned before.

    A companion is loaded beside each of them, for it takes memory; what is timed has no guesses.
    """

    def __init__(
        self, contest: Contest, own: Placement | None, load: Load, planned: tuple[Plan, int], budget_s: float
    ) -> None:
        self._contest, self._load, self._budget_s = contest, load, budget_s
        self._plan, self._index = planned
        kept = self._plan.candidates[self._index].placement
        found = [contest.rival(placement) for placement in dict.fromkeys((own, kept)) if placement is not None]
        self._first = [rival for rival in found if rival is not None]
        self._asked = exchange_for(self._first[0], budget_s / TRIALS)
        self._measured: dict[Placement, tuple[Rival, Trial]] = {}
        self._seen_twice: set[Placement] = set()
        self._took: dict[Placement, float] = {}  # seconds of its last trial, with the load

    def trials(self) -> Generator[Trial, None, None]:
        """Each placement as it is measured, some of them twice. LocalrunError where not even the first can be."""
        started = time.monotonic()
        searched, over = started + _SEARCH * self._budget_s, started + self._budget_s
        for rival in self._first:
            yield self._tried(rival, "")
            if self._trial(self._first[0]).timed is None:
                raise EngineError(self._trial(self._first[0]).failure or "")
        for variable in Variable:
            for rival in rivals(self._contest, self._best(), variable, self._asked.prompt):
                if not self._has_time(rival, searched):
                    break
                if rival.placement not in self._measured:
                    yield self._tried(rival, variable)
        for rival in (self._best(), self._first[0]):
            if self._best() is not self._first[0] and self._has_time(rival, over):
                yield self._tried(rival, self._trial(rival).changed)

    def conclusion(self) -> Tuning:
        """What the trials so far say; there is one at least."""
        trials = tuple(trial for _rival, trial in self._measured.values())
        best = self._trial(self._best())
        own, fastest = self._trial(self._first[0]).timed, best.timed
        assert own is not None and fastest is not None
        gain = own.wait.seconds / fastest.wait.seconds - 1
        is_sure = {best.placement, self.own} <= self._seen_twice
        is_kept = gain >= (WORTH_KEEPING if is_sure else WORTH_A_GLANCE)
        return Tuning(trials, self._asked, trials.index(best), gain, is_kept)

    @property
    def own(self) -> Placement:
        """What is measured first, and held against all others."""
        return self._first[0].placement

    @property
    def has_measured(self) -> bool:
        """Whether there is a conclusion."""
        return any(trial.timed for _rival, trial in self._measured.values())

    def _trial(self, rival: Rival) -> Trial:
        return self._measured[rival.placement][1]

    def _best(self) -> Rival:
        timed = {rival.placement: trial.timed for rival, trial in self._measured.values()}
        seconds = {placement: one.wait.seconds for placement, one in timed.items() if one is not None}
        return self._measured[min(seconds, key=seconds.__getitem__)][0]

    def _has_time(self, rival: Rival, until: float) -> bool:
        """Whether a trial would be over by then, if it takes what it took, or what the longest of others did."""
        return time.monotonic() + self._took.get(rival.placement, max(self._took.values())) <= until

    # ---- one trial

    def _tried(self, rival: Rival, changed: str) -> Trial:
        """Measured, once more where it was already; a failure is kept with its sentence."""
        proposal = rival.proposal
        before = self._measured.get(rival.placement)
        if before:
            self._seen_twice.add(rival.placement)
        trial = before[1] if before else Trial(rival.placement, changed, proposal.predicted, proposal.wait)
        started = time.monotonic()
        try:
            trial = replace(trial, timed=self._faster(rival, trial.timed, self._timed(rival)))
        except LocalrunError as error:
            trial = trial if trial.timed else replace(trial, failure=str(error))
        self._took[rival.placement] = time.monotonic() - started
        self._measured[rival.placement] = rival, trial
        return trial

    def _timed(self, rival: Rival) -> Timed:
        *_, session = self._load(self._as_plan(rival), self._index)
        assert isinstance(session, EngineSession)
        turn(session, prompt_for(session, _WARM_UP[0]), _WARM_UP[1])
        prompt = prompt_for(session, self._asked.prompt)
        started = time.monotonic()
        ends = [turn(session, prompt, self._asked.answer + 1)]
        if time.monotonic() < started + self._budget_s / TRIALS:
            ends.append(turn(session, prompt, self._asked.answer + 1))
        if session.placement != rival.placement:
            raise OutOfMemory(session.loaded.notes[-1])
        prefill, decode = max(end.prefill_tps or 0 for end in ends), max(end.decode_tps or 0 for end in ends)
        return Timed(prefill, decode, session.loaded.load_s, as_measured(rival, self._asked, prefill, decode))

    def _faster(self, rival: Rival, before: Timed | None, timed: Timed) -> Timed:
        """The better of two measurements, in each of their numbers."""
        if before is None:
            return timed
        prefill, decode = max(before.prefill_tps, timed.prefill_tps), max(before.decode_tps, timed.decode_tps)
        wait = as_measured(rival, self._asked, prefill, decode)
        return Timed(prefill, decode, min(before.load_s, timed.load_s), wait)

    def _as_plan(self, rival: Rival) -> Plan:
        """The plan with this placement in the place of the candidate's."""
        placed = self._contest.placed(rival)
        candidates = list(self._plan.candidates)
        candidates[self._index] = replace(
            candidates[self._index],
            placement=rival.placement,
            verdict=placed.verdict,
            memory=placed.memory,
            predicted=placed.predicted,
        )
        return replace(self._plan, candidates=tuple(candidates))
