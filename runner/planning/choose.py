"""All quantizations of a model side by side, best quality first, and the one to take. Pure but for the rehearsals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from models.errors import UsageError
from models.headers.quants import quality
from models.headers.shape import ModelShape
from models.weights import WeightSet
from runner.planning.pick import WIDE_BITS, goal_of, is_equal, pick, speed_of
from runner.planning.placement import Placed, Rehearse, place
from runner.types.machine import Machine
from runner.types.plan import Candidate, ModelInfo, Plan, Verdict
from runner.types.reasons import Better, Faster, NoneRuns, Taken, WeightsThatFit, Why
from runner.types.wish import Wish


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
        why=tuple(_why_none(placed) if chosen is None else _why(placed, candidates, chosen, wish)),
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


# ---- why


def _why(
    placed: Sequence[tuple[Contender, Placed]], candidates: Sequence[Candidate], chosen: int, wish: Wish
) -> Iterator[Why]:
    """What is taken, what made it the one, and the next better and the next faster one."""
    taken = candidates[chosen]
    assert taken.placement is not None
    yield Taken(taken.quant, speed_of(taken), taken.placement.ctx, goal_of(candidates, chosen, wish.prefer))
    given_up = (
        _better(item, placed[index][1])
        for index, item in reversed(list(enumerate(candidates[:chosen])))
        if item.bits_per_weight < WIDE_BITS and not is_equal(item, taken)
    )
    yield from islice(given_up, 1)
    yield from islice(_faster(candidates[chosen + 1 :], taken), 1)


def _better(candidate: Candidate, placed: Placed) -> Better:
    """A better quantization that was given up."""
    speed = None if candidate.verdict is Verdict.NO else speed_of(candidate)
    return Better(candidate.quant, speed, placed.short_of_all, placed.short_of_gpu)


def _faster(smaller: Sequence[Candidate], taken: Candidate) -> Iterator[Faster]:
    """The next smaller ones that fit the GPU, where the one taken does not."""
    if taken.verdict is Verdict.SPLIT:
        for item in smaller:
            if item.verdict is Verdict.GPU and speed_of(item) > speed_of(taken):
                yield Faster(item.quant, speed_of(item))


def _why_none(placed: Sequence[tuple[Contender, Placed]]) -> Iterator[Why]:
    """Why the smallest does not run, and what would."""
    option, result = min(placed, key=lambda pair: pair[0].weights.bytes)
    yield NoneRuns(len(placed), option.weights.quant, result.reasons[0])
    fitting = option.weights.bytes - result.short_of_all
    if 0 < fitting < option.weights.bytes:
        yield WeightsThatFit(fitting)
