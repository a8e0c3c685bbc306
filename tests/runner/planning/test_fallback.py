"""The ladder, rung by rung: what is run after a placement ran out of memory."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from models.headers.shape import ModelShape
from models.weights import WeightFile, WeightSet
from runner.planning.choose import Contender, choose
from runner.planning.fallback import MOST_LOADS, Question, next_lower
from runner.types.fallback import Lower, Rung, Tried
from runner.types.machine import Kind, Machine
from runner.types.placement import Placement
from runner.types.plan import Candidate, Verdict
from runner.types.units import GIB
from runner.types.wish import Wish
from tests.support.planner import gpu, machine, shape

QUANTS = ("Q8_0", "Q4_K_M")
Planner = Callable[[Question], Candidate]


@pytest.fixture(scope="module")
def plan() -> Planner:
    """Plans one of two quantizations of an 8B."""
    shapes: list[ModelShape] = [shape("llama-3.1-8b", quant) for quant in QUANTS]

    def planned(question: Question) -> Candidate:
        quant = QUANTS[question.index]
        weights = WeightSet(quant, (WeightFile(f"{quant}.gguf", 1),))
        contender = Contender(weights, shapes[question.index])
        return choose("x", [contender], question.machine, question.wish).candidates[0]

    return planned


def placement(candidate: Candidate) -> Placement:
    assert candidate.placement is not None
    return candidate.placement


def settings(candidate: Candidate) -> tuple[int, str, int]:
    placed = placement(candidate)
    return placed.ctx, placed.kv_type, placed.ubatch


def descent(plan: Planner, asked: Question, real: Mapping[str, float], smaller: int | None = None) -> list[Lower]:
    """All that is loaded after the plan of `asked`, on devices that really have `real` GiB; the last one works.

    The memory that is not there stays said to be there.
    """

    def fails(candidate: Candidate) -> bool:
        return any(row.total > real.get(row.device, 1000) * GIB for row in candidate.memory)

    candidate, taken, tried = plan(asked), list[Lower](), list[Tried]()
    while fails(candidate):
        tried.append(Tried(candidate, on_host=False))
        assert len(tried) < MOST_LOADS, [(one.rung, settings(one.candidate)) for one in taken]
        lower = next_lower(tried, replace(asked, index=taken[-1].index if taken else 0), smaller, plan)
        assert lower is not None
        taken.append(lower)
        candidate = lower.candidate
    return taken


def test_memory_that_was_taken_is_planned_around(plan: Planner) -> None:
    """Another program takes 73 of 79 GiB: 6 are left, enough for a part of the model."""
    first = plan(Question(0, machine(gpu(79)), Wish()))
    now = machine(replace(gpu(79), free=6 * GIB))
    lower = next_lower([Tried(first, on_host=False)], Question(0, now, Wish()), None, plan)
    assert lower is not None and lower.rung is Rung.REPLAN
    assert lower.candidate == plan(Question(0, now, Wish()))
    assert first.verdict is Verdict.GPU and lower.candidate.verdict is Verdict.SPLIT


def test_a_near_miss_costs_a_margin_and_no_more(plan: Planner) -> None:
    card = machine(gpu(24))
    (lower,) = descent(plan, Question(0, card, Wish()), {"CUDA0": 22})
    first = plan(Question(0, card, Wish()))
    assert (lower.rung, lower.candidate.verdict) == (Rung.MARGIN, Verdict.GPU)
    assert 0.8 * placement(first).ctx < placement(lower.candidate).ctx < placement(first).ctx


def test_the_margin_is_kept_on_the_host_too(plan: Planner) -> None:
    laptop = machine(ram=11)
    first = plan(Question(0, laptop, Wish(ubatch=512)))
    lower = next_lower([Tried(first, on_host=True)], Question(0, laptop, Wish(ubatch=512)), None, plan)
    assert lower is not None and lower.rung is Rung.MARGIN
    assert lower.candidate.memory[-1].total < 0.9 * 11 * GIB


def test_a_device_that_claims_more_than_it_has_is_left_in_the_end(plan: Planner) -> None:
    liar = replace(gpu(100), id="RPC0", kind=Kind.RPC)
    taken = descent(plan, Question(0, machine(liar), Wish()), {"RPC0": 0.5})
    assert taken[-1].candidate.verdict is Verdict.CPU and len(taken) == MOST_LOADS - 1
    on_device = [sum(row.total for row in one.candidate.memory if row.device == "RPC0") for one in taken]
    assert on_device == sorted(on_device, reverse=True) and len(set(on_device)) == len(on_device)


def test_a_limit_that_nobody_reports_is_met_by_lower_settings(plan: Planner) -> None:
    """As with an address-space limit: RAM is plenty by all that the system says."""
    host = machine(ram=128)
    taken = descent(plan, Question(0, host, Wish()), {"CPU": 8.6})
    first = plan(Question(0, host, Wish()))
    tried = [placement(first), *(placement(one.candidate) for one in taken)]
    assert len(set(tried)) == len(tried)
    assert settings(taken[-1].candidate)[1] == "q8_0" and placement(taken[-1].candidate).ubatch < 512


@pytest.mark.parametrize(("devices", "on_host"), [((), True), ((gpu(24),), False)])
def test_what_was_wished_stays_on_every_rung(plan: Planner, devices: tuple[object, ...], on_host: bool) -> None:
    wish = Wish(ctx=8192, kv_type="f16", ubatch=256, gpu_layers=10)
    there = machine(*(gpu(24) for _ in devices))
    first = plan(Question(0, there, wish))
    lower = next_lower([Tried(first, on_host=on_host)], Question(0, there, wish), None, plan)
    assert lower is None
    wish = replace(wish, gpu_layers=None)
    lower = next_lower([Tried(plan(Question(0, there, wish)), on_host)], Question(0, there, wish), None, plan)
    if devices:
        assert lower is not None and lower.rung is Rung.HOST
        assert settings(lower.candidate) == (8192, "f16", 256)
    else:
        assert lower is None


def test_settings_are_lowered_in_order_and_on_top_of_each_other(plan: Planner) -> None:
    asked: list[Question] = []

    def refusing(question: Question) -> Candidate:
        asked.append(question)
        return replace(plan(question), verdict=Verdict.NO)

    there = machine(gpu(24))
    first = plan(Question(0, there, Wish()))
    assert next_lower([Tried(first, on_host=False)], Question(0, there, Wish()), 1, refusing) is None
    ctx = placement(first).ctx
    wishes = [(question.wish.ubatch, question.wish.kv_type, question.wish.ctx) for question in asked]
    assert list(dict.fromkeys(wishes)) == [
        (None, None, None),  # anew, then with a larger margin
        (128, "f16", ctx),
        (128, "q8_0", ctx),  # there, and with more on the host
        (128, "q8_0", -(-ctx // 512) * 256),
    ]
    assert [question.index for question in asked] == sorted(question.index for question in asked)
    assert asked[-1].index == 1


def test_the_next_quantization_is_taken_where_nothing_else_fits(plan: Planner) -> None:
    wish = Wish(ctx=4096, ubatch=64, kv_type="q8_0")
    asked = Question(0, machine(ram=11), wish)
    tried = [Tried(plan(asked), on_host=True)]
    now = replace(asked, machine=machine(ram=8))
    assert next_lower(tried, now, None, plan) is None
    lower = next_lower(tried, now, 1, plan)
    assert lower is not None
    assert (lower.rung, lower.index, lower.candidate.quant) == (Rung.QUANT, 1, "Q4_K_M")


def test_a_context_in_use_is_not_cut_below_what_it_holds(plan: Planner) -> None:
    there = machine(gpu(24))
    asked = Question(0, there, Wish())
    tried = [Tried(plan(asked), on_host=False)]
    now = replace(asked, machine=machine(replace(gpu(24), free=14 * GIB)))
    free = next_lower(tried, now, None, plan)
    held = next_lower(tried, now, None, plan, least_ctx=60_000)
    assert free is not None and placement(free.candidate).ctx < 60_000
    assert held is not None and placement(held.candidate).ctx >= 60_000


def test_killed_means_the_host_and_out_of_memory_the_device(plan: Planner) -> None:
    split: Machine = machine(gpu(6), ram=16)
    asked = Question(0, split, Wish())
    first = plan(asked)

    def held(candidate: Candidate, device: str) -> int:
        return sum(row.total for row in candidate.memory if row.device == device)

    for on_host, device in ((True, "CPU"), (False, "CUDA0")):
        lower = next_lower([Tried(first, on_host)], asked, None, plan)
        assert lower is not None
        assert held(lower.candidate, device) < held(first, device)
