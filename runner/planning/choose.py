"""All quantizations of a model side by side, best quality first, and the one to take. Pure but for the rehearsals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from models.errors import UsageError
from models.headers.quants import quality
from models.headers.shape import ModelShape
from models.weights import WeightSet
from runner.planning.companions import Helpers, accompanied, may_be_accompanied
from runner.planning.pick import WIDE_BITS, is_equal, pick, speed_of, taken_as
from runner.planning.placement import Placed, Rehearser, problem_of
from runner.planning.rivals import Contest, contest_of
from runner.planning.tuned import as_tuned
from runner.types.machine import Machine
from runner.types.measurement import Tuned
from runner.types.plan import Candidate, ModelInfo, Plan, Verdict
from runner.types.reasons import Accompanied, Better, Faster, Goal, NoneRuns, Refused, WeightsThatFit, Why
from runner.types.wish import Wish


@dataclass(frozen=True, slots=True)
class Contender:
    """One set of weights on offer, with its shape and who rehearses it (None: nobody).

    `tuned`: the placement that measurements on this machine preferred, for the same wish. `helpers`: who may guess.
    """

    weights: WeightSet
    shape: ModelShape
    rehearse: Rehearser | None = None
    tuned: Tuned | None = None
    helpers: Helpers = Helpers()  # noqa: RUF009


@dataclass(frozen=True, slots=True)
class _Planned:
    """One set of weights as it would run, and as it would without a companion."""

    candidate: Candidate
    alone: Candidate


def choose(name: str, options: Sequence[Contender], machine: Machine, wish: Wish) -> Plan:
    """A plan of every option that `wish.quant` leaves (UsageError if none), and the one to take.

    `study` and `seconds` are left to the caller.
    """
    kept = _wished(options, wish.quant)
    planned = sorted((_planned(option, machine, wish) for option in kept), key=_loss)
    candidates = tuple(one.candidate for one in planned)
    picked = pick(candidates, wish.prefer, asked=wish.quant is not None)
    if picked and (better := _better_without(planned, picked[0], wish)):
        candidates = _told(candidates, picked[0], better)
    return Plan(
        model=_info(name, kept[0].shape),
        machine=machine,
        candidates=candidates,
        chosen=picked and picked[0],
        why=tuple(_why(candidates, *picked) if picked else _why_none(candidates)),
        wish=wish,
    )


def _wished(options: Sequence[Contender], quant: str | None) -> Sequence[Contender]:
    kept = [option for option in options if quant is None or option.weights.quant.casefold() == quant.casefold()]
    if not kept:
        offered = ", ".join(option.weights.quant for option in options) or "nothing"
        raise UsageError(f"There is no {quant} here; on offer: {offered}.")
    return kept


def _better_without(planned: Sequence[_Planned], chosen: int, wish: Wish) -> str | None:
    """The better quantization that would be taken if no companion took what that of the chosen one does."""
    taken = planned[chosen].candidate
    if not chosen or not taken.companions:
        return None
    alone = [one.alone for one in planned]
    picked = pick(alone, wish.prefer, asked=wish.quant is not None)
    is_better = picked and picked[0] < chosen and not is_equal(alone[picked[0]], taken)
    return alone[picked[0]].quant if picked and is_better else None


def _told(candidates: Sequence[Candidate], chosen: int, better: str) -> tuple[Candidate, ...]:
    """What the companion of the chosen one costs is a better quantization, too."""
    taken = candidates[chosen]
    reasons = (replace(one, better=better) if isinstance(one, Accompanied) else one for one in taken.reasons)
    return (*candidates[:chosen], replace(taken, reasons=tuple(reasons)), *candidates[chosen + 1 :])


def _loss(one: _Planned) -> tuple[float, float]:
    bits = one.candidate.bits_per_weight
    return quality(one.candidate.quant, bits).loss, -bits


def _planned(option: Contender, machine: Machine, wish: Wish) -> _Planned:
    placed = _placed(option, machine, wish)
    candidate = _candidate(option, placed)
    return _Planned(candidate, _candidate(option, placed.alone) if placed.alone else candidate)


def _candidate(option: Contender, placed: Placed) -> Candidate:
    return Candidate(
        quant=option.weights.quant,
        files=tuple(file.name for file in option.weights.files),
        file_bytes=option.weights.bytes,
        bits_per_weight=option.shape.bits_per_weight,
        download_bytes=option.weights.missing_bytes + sum(one.download_bytes for one in placed.companions),
        verdict=placed.verdict,
        placement=placed.placement,
        memory=placed.memory,
        predicted=placed.predicted,
        confirmed_by=placed.confirmed_by,
        reasons=placed.reasons,
        short_of_gpu=placed.short_of_gpu,
        short_of_all=placed.short_of_all,
        wait=placed.wait,
        companions=placed.companions,
    )


def _placed(option: Contender, machine: Machine, wish: Wish) -> Placed:
    """As it was tuned, if it was and that fits; where a companion may guess, that is planned first.

    What was tuned without heads of its own gives way where these would guess by now.
    """
    tuned = option.tuned
    if tuned is None:
        return _own(option, machine, wish)
    if tuned.placement.companion or may_be_accompanied(option.shape, wish, option.helpers):
        own = _own(option, machine, wish)
        kept = _tuned(option, machine, wish, own)
        return replace(kept, alone=own.alone) if kept else own
    contest = Contest(problem_of(option.shape, machine, wish), wish, option.rehearse)
    return as_tuned(contest, tuned) or _own(option, machine, wish)


def _own(option: Contender, machine: Machine, wish: Wish) -> Placed:
    return accompanied(option.shape, machine, wish, option.rehearse, option.helpers)


def _tuned(option: Contender, machine: Machine, wish: Wish, own: Placed) -> Placed | None:
    """What was tuned beside the same kind of companion, which has the context that was tuned, or beside none."""
    assert option.tuned is not None
    kept = option.tuned.placement
    if kept.companion and own.placement and (own.placement.ctx, own.placement.kv_type) != (kept.ctx, kept.kv_type):
        own = _own(option, machine, replace(wish, ctx=kept.ctx, kv_type=kept.kv_type))
    if own.placement is None or own.placement.guesser is not kept.guesser:
        return None
    return as_tuned(contest_of(option.shape, machine, wish, option.rehearse, own), option.tuned, own)


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


def _why(candidates: Sequence[Candidate], chosen: int, goal: Goal) -> Iterator[Why]:
    """What is taken, what made it the one, and the next better and the next faster one."""
    taken = candidates[chosen]
    yield taken_as(taken, goal)
    better = (
        _given_up(item)
        for item in reversed(candidates[:chosen])
        if item.bits_per_weight < WIDE_BITS and not is_equal(item, taken)
    )
    yield from islice(better, 1)
    yield from islice(_faster(candidates[chosen + 1 :], taken), 1)


def _given_up(candidate: Candidate) -> Better:
    speed = None if candidate.verdict is Verdict.NO else speed_of(candidate)
    refused = next((reason.said for reason in candidate.reasons if isinstance(reason, Refused)), None)
    return Better(candidate.quant, speed, candidate.short_of_all, candidate.short_of_gpu, refused)


def _faster(smaller: Sequence[Candidate], taken: Candidate) -> Iterator[Faster]:
    """The next smaller ones that fit the GPU, where the one taken does not."""
    if taken.verdict is Verdict.SPLIT:
        for item in smaller:
            if item.verdict is Verdict.GPU and speed_of(item) > speed_of(taken):
                yield Faster(item.quant, speed_of(item))


def _why_none(candidates: Sequence[Candidate]) -> Iterator[Why]:
    """Why the smallest does not run, and what would."""
    smallest = min(candidates, key=lambda item: item.file_bytes)
    yield NoneRuns(len(candidates), smallest.quant, smallest.reasons[0])
    fitting = smallest.file_bytes - smallest.short_of_all
    if 0 < fitting < smallest.file_bytes:
        yield WeightsThatFit(fitting)
