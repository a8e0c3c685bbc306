"""Which of several candidates to take. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from models.headers.quants import family
from runner.types.plan import Candidate, Verdict
from runner.types.reasons import BestAt, FastestWith, Goal, LargestThatRuns, OnlyOne
from runner.types.wish import Prefer

WIDE_BITS = 15.0  # 16- and 32-bit files
_GOOD_BITS = 4.2
_LEAST_BITS = 3.0
_SAME_QUALITY = ("Q8_0", "Q6_K")


@dataclass(frozen=True, slots=True)
class Line:
    """Where a preference draws its lines: tokens per second that are good, and that are bearable."""

    good: float
    bearable: float


LINES = {Prefer.BALANCED: Line(10, 3), Prefer.QUALITY: Line(3, 1), Prefer.SPEED: Line(30, 10)}


def pick(candidates: Sequence[Candidate], prefer: Prefer = Prefer.BALANCED, *, asked: bool = False) -> int | None:
    """The index of the candidate to take, of a list with the best quality first; None if nothing runs.

    The best quality that is fast enough and has enough bits; else the fastest with enough bits, if it is bearable; else
    the fastest with the least bits; else the largest. Wide files count only if asked for, with `quality`, or if alone.
    """
    line = LINES[prefer]
    runs = _allowed(candidates, all_of_them=asked or prefer is Prefer.QUALITY)
    good = [index for index in runs if candidates[index].bits_per_weight >= _GOOD_BITS]
    fast = [index for index in good if speed_of(candidates[index]) >= line.good]
    if fast:
        return _fastest(candidates, (index for index in fast if is_equal(candidates[index], candidates[fast[0]])))
    fastest = _fastest(candidates, good)
    if fastest is not None and speed_of(candidates[fastest]) >= line.bearable:
        return fastest
    least = [index for index in runs if candidates[index].bits_per_weight >= _LEAST_BITS]
    largest = max(runs, key=lambda index: candidates[index].file_bytes, default=None)
    return _fastest(candidates, least) if least else largest


def _allowed(candidates: Sequence[Candidate], *, all_of_them: bool) -> list[int]:
    """Indices of the candidates that run and may be taken."""
    narrow = {index for index, item in enumerate(candidates) if item.bits_per_weight < WIDE_BITS}
    runs = [index for index, item in enumerate(candidates) if item.verdict is not Verdict.NO]
    return runs if all_of_them or not narrow else [index for index in runs if index in narrow]


def _fastest(candidates: Sequence[Candidate], indices: Iterable[int]) -> int | None:
    """The first of the fastest."""
    return max(indices, key=lambda index: (speed_of(candidates[index]), -index), default=None)


def speed_of(candidate: Candidate) -> float:
    """Predicted tokens per second; 0 where none are."""
    return candidate.predicted.decode_tps if candidate.predicted else 0.0


def is_equal(one: Candidate, other: Candidate) -> bool:
    """Whether two candidates count as equally good."""
    both = family(one.quant) in _SAME_QUALITY and family(other.quant) in _SAME_QUALITY
    return one.quant == other.quant or both


def goal_of(candidates: Sequence[Candidate], chosen: int, prefer: Prefer) -> Goal:
    """What made the candidate that was picked the one."""
    line, taken = LINES[prefer], candidates[chosen]
    if len(candidates) == 1:
        return OnlyOne()
    if taken.bits_per_weight >= _GOOD_BITS and speed_of(taken) >= line.good:
        return BestAt(line.good)
    if taken.bits_per_weight >= _GOOD_BITS and speed_of(taken) >= line.bearable:
        return FastestWith(_GOOD_BITS)
    if taken.bits_per_weight >= _LEAST_BITS:
        return FastestWith(_LEAST_BITS)
    return LargestThatRuns()
