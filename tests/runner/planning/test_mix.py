"""The mix of requests, and that placements are chosen by it."""

from dataclasses import replace
from itertools import combinations
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.cost.blocks import blocks_of
from runner.cost.kv import ContextSettings
from runner.cost.laid_out import laid_out
from runner.cost.work import Offload
from runner.planning.mix import mix_of, wait_for
from runner.planning.placement import Placed, place
from runner.planning.problem import Problem
from runner.planning.restrictions import limited
from runner.types.exchange import Exchange
from runner.types.machine import Machine
from runner.types.reasons import LongerUbatch, Mapped, ShortOnHost
from runner.types.units import GIB
from runner.types.wish import Prefer, Wish
from scripts.checks.fit_rule import fitted
from scripts.checks.speed_rows import Case, measured
from scripts.synthetic.headers import shape

TURNS = st.builds(Exchange, st.integers(0, 200_000), st.integers(1, 200_000), st.integers(1, 20_000))
CASES = {"mistral-small-24b": (16384, 10), "qwen3-30b-a3b": (32768, 12)}  # tests/data/h100.toml: context, GiB allowed


@given(st.integers(256, 1_000_000), st.sampled_from(Prefer), st.lists(TURNS, max_size=30))
def test_every_request_fits_the_context_and_the_weights_sum_to_one(
    ctx: int, prefer: Prefer, habits: list[Exchange]
) -> None:
    mix = mix_of(ctx, prefer, tuple(habits))
    assert sum(one.weight for one in mix) == pytest.approx(1)
    for one in mix:
        assert one.depth >= 0 and one.prompt > 0 and one.answer > 0 and one.weight > 0
        assert one.depth + one.prompt + one.answer <= ctx


def test_twenty_turns_count_as_much_as_the_table() -> None:
    habits = tuple(Exchange(0, 3000 + 10 * number, 40) for number in range(20))
    own = [one for one in mix_of(32768, habits=habits) if one.answer == 40]
    assert sum(one.weight for one in own) == pytest.approx(0.5)
    assert [one.prompt for one in own] == [3020, 3070, 3120, 3170]


def test_whoever_prefers_speed_asks_for_less_and_whoever_prefers_quality_for_more() -> None:
    def tokens(prefer: Prefer) -> float:
        return sum(one.weight * one.prompt for one in mix_of(32768, prefer))

    assert tokens(Prefer.SPEED) < tokens(Prefer.BALANCED) < tokens(Prefer.QUALITY)


# ---- what was measured on an H100 (tests/data/h100.toml)


def h100() -> Machine:
    return measured()[0].machine


def chosen(model: str) -> tuple[Problem, Placed]:
    ctx, allowed = CASES[model]
    wish = Wish(ctx=ctx, vram_limit=allowed * GIB)
    return Problem(blocks_of(shape(model)), limited(h100(), wish)), place(shape(model), h100(), wish)


def timings() -> dict[tuple[str, str, int], list[tuple[str, float, float]]]:
    """By model, kind and length: name, measured and predicted. What a ubatch cannot change counts once."""
    found: dict[tuple[str, str, int], list[tuple[str, float, float]]] = {}
    named = [case for case in measured() if case.name]
    for case in named:
        if case.prompt:
            key, tps = (case.model, "prefill", case.tokens), case.tps
        elif "ubatch" in case.name:
            continue
        else:
            key, tps = (case.model, "decode", case.depth), median(_twins(named, case))
        found.setdefault(key, []).append((case.name, tps, case.predicted))
    return found


def _twins(cases: list[Case], case: Case) -> list[float]:
    same = {case.name, f"{case.name}, ubatch 2048"}
    return [one.tps for one in cases if one.name in same and (one.model, one.depth) == (case.model, case.depth)]


def test_placements_come_out_in_the_order_that_was_measured() -> None:
    compared = 0
    for key, rows in timings().items():
        for one, other in combinations(rows, 2):
            if max(one[1], other[1]) > 1.1 * min(one[1], other[1]):
                compared += 1
                assert (one[1] < other[1]) == (one[2] < other[2]), (key, one, other)
    assert compared >= 14


@pytest.mark.parametrize(("model", "gain"), [("mistral-small-24b", 1.2), ("qwen3-30b-a3b", 1.3)])
@pytest.mark.parametrize("prompt", [4096, 14000])
def test_requests_take_less_than_where_the_tool_of_llama_cpp_would_put_it(model: str, gain: float, prompt: int) -> None:
    """Which maps the weights; at the same context and in the same memory."""
    problem, ours = chosen(model)
    settings, request = ContextSettings(CASES[model][0]), (Exchange(0, prompt, 256),)
    tool = replace(fitted(problem, settings).speeds, offload=Offload(pinned=False))
    assert ours.placement is not None
    speed = laid_out(shape(model), problem.machine, ours.placement).speeds()
    assert wait_for(request, tool).seconds >= gain * wait_for(request, speed).seconds


# ---- what becomes of it


def test_a_longer_ubatch_is_taken_where_prompts_wait_for_the_bus() -> None:
    _problem, ours = chosen("qwen3-30b-a3b")
    assert ours.placement is not None and ours.placement.ubatch > 512
    assert LongerUbatch(ours.placement.ubatch, 512) in ours.reasons
    asked = place(shape("qwen3-30b-a3b"), h100(), Wish(ctx=32768, vram_limit=12 * GIB, ubatch=512))
    assert asked.placement is not None and asked.placement.ubatch == 512
    assert asked.wait is not None and ours.wait is not None and ours.wait.seconds < asked.wait.seconds


def test_caches_stay_on_the_device_for_whoever_asks_at_depth_and_layers_for_whoever_does_not() -> None:
    shallow = tuple(Exchange(0, 100, 400) for _ in range(60))
    deep = tuple(Exchange(15000, 100, 400) for _ in range(60))
    wish = Wish(ctx=16384, vram_limit=10 * GIB)
    held = [place(shape("mistral-small-24b"), h100(), replace(wish, habits=habits)) for habits in (shallow, deep)]
    assert held[0].memory[0].kv < held[1].memory[0].kv


def test_weights_are_mapped_for_whoever_reads_no_prompts() -> None:
    """A load of seconds, and pinned weights are of use only to prompts."""
    habits = tuple(Exchange(1000, 8, 4) for _ in range(2000))
    placed = place(shape("mistral-small-24b"), h100(), Wish(ctx=16384, vram_limit=10 * GIB, habits=habits))
    assert placed.placement is not None and placed.placement.load_mode == "mmap"
    assert Mapped() in placed.reasons


def test_a_slow_bus_leaves_short_prompts_to_the_cpu() -> None:
    def on(bus: float, cores: int) -> Placed:
        device = replace(h100().devices[0], bus=bus)
        there = replace(h100(), devices=(device,), cores=cores)
        return place(shape("mistral-small-24b"), there, Wish(ctx=16384, vram_limit=10 * GIB))

    fast, slow = on(63e9, 16), on(2e9, 64)
    assert fast.placement is not None and fast.placement.offload_batch == 32
    assert slow.placement is not None and slow.placement.offload_batch > 32
    assert ShortOnHost(slow.placement.offload_batch) in slow.reasons
