"""All quantizations of a model side by side, best quality first, and the one to take. Pure but for the rehearsals."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from models.errors import UsageError
from models.headers.quants import family, quality
from models.headers.shape import ModelShape
from models.weights import WeightSet
from runner.planning.placement import Placed, Rehearse, place
from runner.planning.reasons import tokens
from runner.types.machine import Machine
from runner.types.plan import Candidate, ModelInfo, Plan, Prefer, Verdict, Wish
from runner.types.units import gib

_WIDE_BITS = 15.0  # 16- and 32-bit files
_GOOD_BITS = 4.2
_LEAST_BITS = 3.0
_SAME_QUALITY = ("Q8_0", "Q6_K")


@dataclass(frozen=True, slots=True)
class Line:
    """Where a preference draws its lines: tokens per second that are good, and that are bearable."""

    good: float
    bearable: float


LINES = {Prefer.BALANCED: Line(10, 3), Prefer.QUALITY: Line(3, 1), Prefer.SPEED: Line(30, 10)}


@dataclass(frozen=True, slots=True)
class Contender:
    """One set of weights on offer, with its shape and who rehearses it (None: nobody)."""

    weights: WeightSet
    shape: ModelShape
    rehearse: Rehearse | None = None


def choose(name: str, options: Sequence[Contender], machine: Machine, wish: Wish) -> Plan:
    """A plan of every option that `wish.quant` leaves (UsageError if none), and the one to take.

    `study`, `fetched_bytes` and `seconds` are left to the caller.
    """
    kept = _wished(options, wish.quant)
    placed = [(option, place(option.shape, machine, wish, option.rehearse)) for option in kept]
    placed.sort(key=lambda pair: _loss(pair[0]))
    candidates = tuple(_candidate(option, result) for option, result in placed)
    chosen = pick(candidates, wish.prefer, asked=wish.quant is not None)
    return Plan(
        model=_info(name, kept[0].shape),
        machine=machine,
        candidates=candidates,
        chosen=chosen,
        why=_why_none(placed) if chosen is None else _why(placed, candidates, chosen, wish),
        wish=wish,
    )


def _wished(options: Sequence[Contender], quant: str | None) -> Sequence[Contender]:
    kept = [option for option in options if quant is None or option.weights.quant.casefold() == quant.casefold()]
    if not kept:
        offered = ", ".join(option.weights.quant for option in options) or "nothing"
        raise UsageError(f"There is no {quant} here; on offer: {offered}.")
    return kept


def _loss(option: Contender) -> tuple[float, float]:
    bits = option.shape.bits_per_weight
    return quality(option.weights.quant, bits).loss, -bits


def _candidate(option: Contender, placed: Placed) -> Candidate:
    return Candidate(
        quant=option.weights.quant,
        files=tuple(file.name for file in option.weights.files),
        file_bytes=option.weights.bytes,
        bits_per_weight=option.shape.bits_per_weight,
        download_bytes=option.weights.missing_bytes,
        verdict=placed.verdict,
        placement=placed.placement,
        memory=placed.memory,
        predicted=placed.predicted,
        confirmed_by=placed.confirmed_by,
        reasons=placed.reasons,
        short_of_gpu=placed.short_of_gpu,
    )


def _info(name: str, shape: ModelShape) -> ModelInfo:
    return ModelInfo(
        name=name,
        arch=shape.arch,
        parameters=shape.parameters,
        layers=shape.layers,
        experts=shape.experts,
        experts_used=shape.experts_used,
        context_trained=shape.context_trained,
    )


# ---- the pick


def pick(candidates: Sequence[Candidate], prefer: Prefer = Prefer.BALANCED, *, asked: bool = False) -> int | None:
    """The index of the candidate to take, of a list with the best quality first; None if nothing runs.

    The best quality that is fast enough and has enough bits; else the fastest with enough bits, if it is bearable; else
    the fastest with the least bits; else the largest. Wide files count only if asked for, with `quality`, or if alone.
    """
    line = LINES[prefer]
    runs = _allowed(candidates, all_of_them=asked or prefer is Prefer.QUALITY)
    good = [index for index in runs if candidates[index].bits_per_weight >= _GOOD_BITS]
    fast = [index for index in good if _tps(candidates[index]) >= line.good]
    if fast:
        return _fastest(candidates, (index for index in fast if _equal(candidates[index], candidates[fast[0]])))
    fastest = _fastest(candidates, good)
    if fastest is not None and _tps(candidates[fastest]) >= line.bearable:
        return fastest
    least = [index for index in runs if candidates[index].bits_per_weight >= _LEAST_BITS]
    largest = max(runs, key=lambda index: candidates[index].file_bytes, default=None)
    return _fastest(candidates, least) if least else largest


def _allowed(candidates: Sequence[Candidate], *, all_of_them: bool) -> list[int]:
    """Indices of the candidates that run and may be taken."""
    narrow = {index for index, item in enumerate(candidates) if item.bits_per_weight < _WIDE_BITS}
    runs = [index for index, item in enumerate(candidates) if item.verdict is not Verdict.NO]
    return runs if all_of_them or not narrow else [index for index in runs if index in narrow]


def _fastest(candidates: Sequence[Candidate], indices: Iterable[int]) -> int | None:
    """The first of the fastest."""
    return max(indices, key=lambda index: (_tps(candidates[index]), -index), default=None)


def _tps(candidate: Candidate) -> float:
    return candidate.predicted.decode_tps if candidate.predicted else 0.0


def _equal(one: Candidate, other: Candidate) -> bool:
    """Whether two candidates count as equally good."""
    both = family(one.quant) in _SAME_QUALITY and family(other.quant) in _SAME_QUALITY
    return one.quant == other.quant or both


# ---- why


def _why(placed: Sequence[tuple[Contender, Placed]], candidates: Sequence[Candidate], chosen: int, wish: Wish) -> str:
    """What is taken, what made it the one, and the next better and the next faster one."""
    taken = candidates[chosen]
    assert taken.placement is not None
    context = tokens(taken.placement.ctx)
    said = f"{taken.quant}: {_speed(taken)} with a context of {context}, {_goal(candidates, taken, wish)}."
    given_up = (
        _given_up(item, placed[index][1])
        for index, item in reversed(list(enumerate(candidates[:chosen])))
        if item.bits_per_weight < _WIDE_BITS and not _equal(item, taken)
    )
    return " ".join([said, *islice(given_up, 1), *islice(_faster(candidates[chosen + 1 :], taken), 1)])


def _speed(candidate: Candidate) -> str:
    speed = _tps(candidate)
    return f"{speed:.0f} tok/s" if speed >= 20 else f"{speed:.1f} tok/s"


def _goal(candidates: Sequence[Candidate], taken: Candidate, wish: Wish) -> str:
    line = LINES[wish.prefer]
    if len(candidates) == 1:
        return "the only one on offer"
    if taken.bits_per_weight >= _GOOD_BITS and _tps(taken) >= line.good:
        return f"the best quality at {line.good:g} tok/s or more"
    if taken.bits_per_weight >= _GOOD_BITS and _tps(taken) >= line.bearable:
        return f"the fastest with {_GOOD_BITS} bits per weight or more"
    if taken.bits_per_weight >= _LEAST_BITS:
        return f"the fastest with {_LEAST_BITS:g} bits per weight or more"
    return "the largest that runs"


def _given_up(better: Candidate, placed: Placed) -> str:
    """What a better quantization would need, or cost."""
    if placed.short_of_all > 0:
        return f"{better.quant} would need {gib(placed.short_of_all)} more memory."
    if better.verdict is Verdict.NO:
        return f"{better.quant} does not fit."
    needs = f" and need {gib(placed.short_of_gpu)} more to be all on the GPU" if placed.short_of_gpu > 0 else ""
    return f"{better.quant} would run at {_speed(better)}{needs}."


def _faster(smaller: Sequence[Candidate], taken: Candidate) -> Iterator[str]:
    """The next smaller ones that fit the GPU, where the one taken does not."""
    if taken.verdict is Verdict.SPLIT:
        for item in smaller:
            if item.verdict is Verdict.GPU and _tps(item) > _tps(taken):
                yield f"{item.quant} fits the GPU whole and would run at {_speed(item)}."


def _why_none(placed: Sequence[tuple[Contender, Placed]]) -> str:
    option, result = min(placed, key=lambda pair: pair[0].weights.bytes)
    subject = "It does not run" if len(placed) == 1 else f"None of {len(placed)} quantizations runs"
    label = option.weights.quant if len(placed) == 1 else f"{option.weights.quant}, the smallest"
    said = [f"{subject} here. {label}: {result.reasons[0]}"]
    fitting = option.weights.bytes - result.short_of_all
    if 0 < fitting < option.weights.bytes:
        said.append(f"Weights of up to {gib(fitting)} would fit.")
    return " ".join(said)
