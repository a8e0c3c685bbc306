"""Placements that were measured beside each other, and what came of it. Pure data."""

from __future__ import annotations

from dataclasses import dataclass

from runner.types.exchange import Exchange, Wait
from runner.types.placement import Placement
from runner.types.plan import Predicted


@dataclass(frozen=True, slots=True)
class Timed:
    """How fast a request was in tokens per second, how long the load took, and what that makes of the mix."""

    prefill_tps: float
    decode_tps: float
    load_s: float
    wait: Wait


@dataclass(frozen=True, slots=True)
class Trial:
    """One placement: what was predicted for it and what was measured; `failure` is why nothing was.

    `changed` names what it differs in from the best before it (runner.planning.rivals), empty for the plan's own.
    """

    placement: Placement
    changed: str
    predicted: Predicted
    wait: Wait
    timed: Timed | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Tuning:
    """Trials, the plan's own first, each measured with the request `asked`; `best` is an index.

    `gain`: mean time of a request as planned over that with the best, less 1, both measured. `is_kept`: the next plan
    takes the best.
    """

    trials: tuple[Trial, ...]
    asked: Exchange
    best: int
    gain: float
    is_kept: bool
