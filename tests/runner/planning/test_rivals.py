"""Placements that are worth a measurement beside the planner's, and what was measured planned again."""

from dataclasses import replace

import pytest

from models.weights import WeightFile, WeightSet
from runner.cost.ledger import Rehearsed, reserve
from runner.planning.choose import Contender, choose
from runner.planning.companions import Drafter, Helpers
from runner.planning.placement import place, problem_of
from runner.planning.rivals import Contest, Rival, Variable, as_measured, exchange_for, rivals
from runner.planning.rivals import contest_of as chosen_contest
from runner.planning.tuned import as_tuned, kept_for, question_of
from runner.report.sentences import sentence
from runner.types.exchange import Exchange
from runner.types.machine import Machine
from runner.types.measurement import Tuned
from runner.types.placement import Placement
from runner.types.reasons import LongerUbatch, Lowered, Mapped, TunedHere
from runner.types.units import GIB
from runner.types.wish import Prefer, Wish
from tests.support.planner import gpu, machine, shape

DENSE = "llama-3.1-8b"
SPILLED = machine(gpu(5), cores=8)
HERE = machine(cores=8)
WISH = Wish(ctx=8192)
NOON = 1_790_000_000.0  # 2026-09-21


def contest_of(there: Machine, wish: Wish = WISH) -> tuple[Contest, Rival]:
    """The contest and the planner's own placement in it."""
    found = place(shape(DENSE), there, wish)
    assert found.placement is not None
    contest = Contest(problem_of(shape(DENSE), there, wish), wish)
    own = contest.rival(found.placement)
    assert own is not None and own.proposal.memory == found.memory
    assert own.proposal.wait == found.wait and own.proposal.predicted == found.predicted
    return contest, own


def found(there: Machine, variable: Variable, wish: Wish = WISH) -> list[Placement]:
    contest, own = contest_of(there, wish)
    return [one.placement for one in rivals(contest, own, variable, 4096)]


def test_a_host_that_computes_may_do_so_with_other_threads_and_loaded_otherwise() -> None:
    for there in (HERE, SPILLED):
        _contest, own = contest_of(there)
        assert own.placement.threads == 7
        assert found(there, Variable.THREADS) == [replace(own.placement, threads=count) for count in (8, 4)]
        (other,) = found(there, Variable.LOAD_MODE)
        assert {own.placement.load_mode, other.load_mode} == {"mmap", "none"}


def test_what_is_whole_on_a_gpu_has_neither() -> None:
    there = machine(gpu(24), cores=8)
    assert not found(there, Variable.THREADS) and not found(there, Variable.LOAD_MODE)
    assert [one.ubatch for one in found(there, Variable.UBATCH)]


def test_layouts_of_other_kinds_are_nearly_as_good_and_fit() -> None:
    contest, own = contest_of(SPILLED)
    others = [*rivals(contest, own, Variable.LAYOUT, 4096)]
    assert own.placement.ffn_on_cpu and others
    kinds = {(one.placement.gpu_layers, one.placement.overrides) for one in (own, *others)}
    assert len(kinds) == len(others) + 1
    assert any(not one.placement.overrides and one.placement.gpu_layers for one in others)  # by whole layers
    for one in others:
        assert not one.proposal.missing and one.proposal.seconds < 1.6 * own.proposal.seconds


def test_an_ubatch_that_takes_room_from_weights_comes_with_its_own_layout() -> None:
    _contest, own = contest_of(SPILLED, Wish(ctx=8192, margin=0))
    others = found(SPILLED, Variable.UBATCH, Wish(ctx=8192, margin=0))
    assert len({one.ubatch for one in others} - {own.placement.ubatch}) == len(others) > 1
    longest = max(others, key=lambda one: one.ubatch)
    assert longest.ubatch > own.placement.ubatch and longest.overrides != own.placement.overrides
    assert all(one.ctx == 8192 for one in others)


def test_no_ubatch_that_the_prompt_would_not_tell_from_the_one_there_is() -> None:
    contest, own = contest_of(HERE, Wish(ctx=8192, prefer=Prefer.SPEED))
    assert own.placement.ubatch == 512
    tried = {
        longest: [one.placement.ubatch for one in rivals(contest, own, Variable.UBATCH, longest)]
        for longest in (128, 256, 512, 1024)
    }
    assert tried == {128: [], 256: [], 512: [256], 1024: [1024, 256]}


@pytest.mark.parametrize(
    ("variable", "wish"),
    [
        (Variable.LAYOUT, Wish(ctx=8192, gpu_layers=10)),
        (Variable.UBATCH, Wish(ctx=8192, ubatch=256)),
        (Variable.THREADS, Wish(ctx=8192, threads=3)),
    ],
)
def test_what_was_wished_stays(variable: Variable, wish: Wish) -> None:
    assert not found(SPILLED, variable, wish)


def test_what_llama_cpp_refuses_is_no_rival() -> None:
    contest, own = contest_of(HERE)
    refusing = replace(contest, rehearse=lambda _placement: Rehearsed((), refusal="no"))
    assert not [*rivals(refusing, own, Variable.THREADS, 4096)]


def test_the_request_that_all_are_measured_with() -> None:
    _contest, own = contest_of(HERE)
    asked = [exchange_for(own, seconds) for seconds in (0.1, 10, 1000)]
    assert [one.prompt for one in asked] == sorted(one.prompt for one in asked)
    assert asked[0] == Exchange(0, 128, 16) and asked[-1] == Exchange(0, 4096, 64)


def test_a_mix_takes_as_much_longer_as_its_parts_were_slower() -> None:
    _contest, own = contest_of(HERE)
    asked, speeds, wait = Exchange(0, 512, 32), own.proposal.speeds, own.proposal.wait
    prefill, decode = 512 / speeds.prompt_seconds(asked), 32 / speeds.answer_seconds(asked)
    same = as_measured(own, asked, prefill, decode)
    slower = as_measured(own, asked, prefill / 2, decode / 3)
    assert (same.prompt_s, same.answer_s) == pytest.approx((wait.prompt_s, wait.answer_s))
    assert (slower.prompt_s, slower.answer_s) == pytest.approx((2 * wait.prompt_s, 3 * wait.answer_s))


# ---- planned again


def test_what_was_tuned_is_planned_while_it_fits_and_said() -> None:
    (other,) = found(SPILLED, Variable.LOAD_MODE)
    tuned = Tuned("?", replace(other, threads=4), 0.12, NOON)
    weights = WeightSet("Q4_K_M", (WeightFile("m-Q4_K_M.gguf", 5 * GIB, None),))
    contender = Contender(weights, shape(DENSE), tuned=tuned)
    (candidate,) = choose("m", [contender], SPILLED, WISH).candidates
    assert candidate.placement == tuned.placement and candidate.predicted and candidate.wait
    assert candidate.reasons[0] == TunedHere(NOON, 0.12)
    assert sentence(candidate.reasons[0]) == "Tuned here on 2026-09-21: 12% faster than planned."
    full = replace(SPILLED, devices=(replace(SPILLED.devices[0], free=2 * GIB),))
    (candidate,) = choose("m", [contender], full, WISH).candidates
    assert candidate.placement != tuned.placement and TunedHere(NOON, 0.12) not in candidate.reasons
    assert as_tuned(contest_of(HERE)[0], tuned) is None  # its device is gone


def test_a_setting_that_was_tuned_has_no_other_reason() -> None:
    contest, own = contest_of(SPILLED)
    planned = own.placement
    for tuned in (replace(planned, ubatch=256), replace(planned, load_mode="mmap"), replace(planned, load_mode="none")):
        placed = as_tuned(contest, Tuned("?", tuned, 0.12, NOON))
        assert placed is not None and placed.placement == tuned
        assert not any(isinstance(reason, Lowered | LongerUbatch | Mapped) for reason in placed.reasons)


def test_a_companion_stays_where_it_is_and_its_bytes_are_no_rivals() -> None:
    """Of a small model on the GPU: what it takes is not there for any placement of the large one."""
    small = Drafter("small", WeightSet("Q4_K_M", (WeightFile("s.gguf", GIB, None),)), shape("llama-3.2-1b"))
    wish, weights = replace(WISH, draft="small"), WeightSet("Q4_K_M", (WeightFile("m-Q4_K_M.gguf", 5 * GIB, None),))
    contender = Contender(weights, shape(DENSE), helpers=Helpers(small))
    (own,) = choose("m", [contender], SPILLED, wish).candidates
    assert own.placement is not None and own.placement.companion is not None
    contest = chosen_contest(shape(DENSE), SPILLED, wish, None, own)
    planned = contest.rival(own.placement)
    assert planned is not None and planned.placement == own.placement
    assert contest.placed(planned).memory == own.memory and contest.placed(planned).predicted == own.predicted
    others = [one for variable in Variable for one in rivals(contest, planned, variable, 4096)]
    assert len(others) > 2
    for one in others:
        placed = contest.placed(one)
        assert one.placement.companion == own.placement.companion and placed.companions == own.companions
        assert all(row.held + reserve(SPILLED.devices[0], None) <= row.free for row in placed.memory[:-1])
    tuned = Tuned("?", others[0].placement, 0.12, NOON)
    (again,) = choose("m", [replace(contender, tuned=tuned)], SPILLED, wish).candidates
    assert again.placement == tuned.placement and again.companions == own.companions
    (longer,) = choose("m", [replace(contender, tuned=tuned)], SPILLED, replace(wish, ctx=None)).candidates
    assert longer.placement == tuned.placement
    (without,) = choose("m", [replace(contender, tuned=tuned)], machine(ram=7, cores=8), wish).candidates
    assert without.placement is not None and without.placement.companion is None, "it has no room any more"


def test_heads_are_measured_on_one_device_at_a_time() -> None:
    model, there, wish = "glm-4.5-air", machine(gpu(24), gpu(24, index=1), ram=128, cores=8), replace(WISH, draft="mtp")
    weights = WeightSet("Q4_K_M", (WeightFile("m-Q4_K_M.gguf", 70 * GIB, None),))
    one = machine(gpu(24), ram=128, cores=8)
    (own,) = choose("m", [Contender(weights, shape(model))], one, wish).candidates
    assert own.placement is not None and own.placement.has_heads
    contest = chosen_contest(shape(model), there, wish, None, own)
    planned = contest.rival(own.placement)
    assert planned is not None and contest.placed(planned).companions == own.companions
    assert all(len(one.placement.devices) < 2 for one in rivals(contest, planned, Variable.LAYOUT, 4096))


def test_another_question_has_another_answer() -> None:
    weights = WeightSet("Q4_K_M", (WeightFile("m-Q4_K_M.gguf", 5 * GIB, None),))
    asked = question_of(weights, SPILLED, WISH)
    kept = [Tuned(asked, Placement((), 0, 33, (), 8192), 0.1, NOON)]
    assert kept_for(asked, kept) == kept[0]
    assert question_of(weights, SPILLED, replace(WISH, quant="q4_k_m", habits=(Exchange(0, 9, 9),))) == asked
    others = [
        question_of(replace(weights, quant="Q8_0"), SPILLED, WISH),
        question_of(weights, HERE, WISH),
        question_of(weights, replace(SPILLED, cores=4), WISH),
        question_of(weights, SPILLED, replace(WISH, ctx=4096)),
        question_of(weights, SPILLED, replace(WISH, prefer=Prefer.SPEED)),
    ]
    assert not [one for one in others if kept_for(one, kept)]
    less = replace(SPILLED, devices=(replace(SPILLED.devices[0], free=2 * GIB),), ram_available=GIB)
    assert question_of(weights, less, WISH) == asked  # what is free comes and goes
