"""Which of several candidates to take. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from models.headers.quants import family
from runner.types.plan import Candidate, Verdict
from runner.types.reasons import BestAt, FastestWith, Goal, LargestThatRuns, OnlyOne, Taken
from runner.types.wish import Prefer

WIDE_BITS = 15.0  # 16- and 32-bit files
_GOOD_BITS = 4.2
_LEAST_BITS = 3.0
_SAME_QUALITY = ("Q8_0", "Q6_K")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Of a preference: tokens per second that are good, and that are bearable."""

    good: float
    bearable: float


THRESHOLDS = {Prefer.BALANCED: Thresholds(10, 3), Prefer.QUALITY: Thresholds(3, 1), Prefer.SPEED: Thresholds(30, 10)}


def pick(
    candidates: Sequence[Candidate], prefer: Prefer = Prefer.BALANCED, *, asked: bool = False
) -> tuple[int, Goal] | None:
    """The index of the candidate to take, of a list with the best quality first, and why; None if nothing runs.

    The best quality that is fast enough and has enough bits; else the fastest with enough bits, if it is bearable; else
    the fastest with the least bits; else the largest. Wide files count only if asked for, with `quality`, or if alone.
    """
    runs = _allowed(candidates, all_of_them=asked or prefer is Prefer.QUALITY)
    if not runs:
        return None
    index, goal = _best(candidates, runs, THRESHOLDS[prefer])
    return index, OnlyOne() if len(candidates) == 1 else goal


def _best(candidates: Sequence[Candidate], runs: Sequence[int], speeds: Thresholds) -> tuple[int, Goal]:
    good = [index for index in runs if candidates[index].bits_per_weight >= _GOOD_BITS]
    fast = [index for index in good if speed_of(candidates[index]) >= speeds.good]
    if fast:
        equals = [index for index in fast if is_equal(candidates[index], candidates[fast[0]])]
        return _fastest(candidates, equals), BestAt(speeds.good)
    if any(speed_of(candidates[index]) >= speeds.bearable for index in good):
        return _fastest(candidates, good), FastestWith(_GOOD_BITS)
    if least := [index for index in runs if candidates[index].bits_per_weight >= _LEAST_BITS]:
        return _fastest(candidates, least), FastestWith(_LEAST_BITS)
    return max(runs, key=lambda index: candidates[index].file_bytes), LargestThatRuns()


def _allowed(candidates: Sequence[Candidate], *, all_of_them: bool) -> list[int]:
    """Indices of the candidates that run and may be taken."""
    narrow = {index for index, item in enumerate(candidates) if item.bits_per_weight < WIDE_BITS}
    runs = [index for index, item in enumerate(candidates) if item.verdict is not Verdict.NO]
    return runs if all_of_them or not narrow else [index for index in runs if index in narrow]


def _fastest(candidates: Sequence[Candidate], indices: Iterable[int]) -> int:
    """The first of the fastest."""
    return max(indices, key=lambda index: (speed_of(candidates[index]), -index))


def speed_of(candidate: Candidate) -> float:
    """Predicted tokens per second; 0 where none are."""
    return candidate.predicted.decode_tps if candidate.predicted else 0.0


def is_equal(one: Candidate, other: Candidate) -> bool:
    """Whether two candidates count as equally good."""
    both = family(one.quant) in _SAME_QUALITY and family(other.quant) in _SAME_QUALITY
    return one.quant == other.quant or both


def taken_as(candidate: Candidate, goal: Goal) -> Taken:
    """That this one was taken, and what made it the one."""
    assert candidate.placement is not None
    return Taken(candidate.quant, speed_of(candidate), candidate.placement.ctx, goal)
