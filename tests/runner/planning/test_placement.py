"""Where a model goes: real geometries on machines from nothing to more than enough."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import UsageError
from models.headers.shape import ModelShape
from runner.cost.blocks import blocks_of
from runner.cost.kv import ContextSettings
from runner.cost.laid_out import layout_in, ledger
from runner.cost.ledger import Rehearsed, shortages
from runner.planning.placement import MOST_REHEARSALS, Placed, Rehearser, place
from runner.planning.restrictions import limited
from runner.report.sentences import sentence
from runner.types.engine import ComponentBytes
from runner.types.machine import Device, Kind, Machine
from runner.types.placement import Placement, SplitMode
from runner.types.plan import Source, Verdict
from runner.types.reasons import (
    BeyondTrained,
    LayersThatFit,
    Lowered,
    Noted,
    Overdrawn,
    Refused,
    SharedLimit,
    WouldFitWith,
)
from runner.types.units import GIB, MIB
from runner.types.wish import Wish
from scripts.checks.fit_rule import fitted
from tests.support.planner import a100, gpu, h100, machine, problem_on, shape

DENSE, MOE = "llama-3.1-8b", "qwen3-30b-a3b"
NO_WISH = Wish()


def check(model: ModelShape, there: Machine, wish: Wish = NO_WISH) -> Placed:
    """Place, and hold the result against what must always be true."""
    placed = place(model, there, wish)
    assert placed == place(model, there, wish)
    if placed.placement is None:
        assert placed.verdict is Verdict.NO and placed.predicted is None and placed.reasons
        return placed
    narrowed = limited(there, wish)
    assert placed.memory == ledger(model, narrowed, placed.placement), "the patterns mean what was planned"
    assert placed.memory[-1].device == "CPU"
    by_id = {device.id: device for device in narrowed.devices}
    devices = tuple(by_id[name] for name in placed.placement.devices)
    layout = layout_in(blocks_of(model), devices, placed.placement)
    overdrawn = shortages(placed.memory, layout, narrowed, wish.margin)
    assert bool(overdrawn) == (placed.verdict is Verdict.NO)
    expected = Verdict.CPU if not devices else Verdict.GPU if layout.is_whole else Verdict.SPLIT
    assert placed.verdict in (expected, Verdict.NO)
    if layout.is_by_tensor:
        assert set(placed.placement.tensor_split) == {placed.placement.gpu_layers}
    else:
        assert sum(placed.placement.tensor_split) == placed.placement.gpu_layers
    assert placed.predicted is not None and placed.predicted.decode_tps > 0
    return placed


def tps(placed: Placed) -> float:
    return placed.predicted.decode_tps if placed.predicted else 0.0


def requests(placed: Placed) -> float:
    """How many a second, in the mean of the mix."""
    return 1 / placed.wait.seconds if placed.wait else 0.0


# ---- the questions the project exists for


@pytest.mark.parametrize(
    ("quant", "devices", "verdict", "ctx"),
    [
        ("F16", (a100(),), Verdict.SPLIT, 8192),
        ("F16", (a100(), a100(1)), Verdict.GPU, 83456),
        ("Q8_0", (a100(),), Verdict.GPU, 32512),
        ("Q8_0", (a100(), a100(1)), Verdict.GPU, 131072),
        ("Q6_K", (a100(),), Verdict.GPU, 83712),
        ("Q4_K_M", (a100(),), Verdict.GPU, 129792),
        ("Q4_K_M", (gpu(24),), Verdict.SPLIT, 8192),
    ],
)
def test_llama_70b(quant: str, devices: tuple[Device, ...], verdict: Verdict, ctx: int) -> None:
    placed = check(shape("llama-3.3-70b", quant), machine(*devices))
    assert placed.verdict is verdict
    assert placed.placement is not None and abs(placed.placement.ctx - ctx) <= 512


def test_16_bit_of_a_70b_says_by_how_much_it_does_not_fit_an_a100() -> None:
    placed = check(shape("llama-3.3-70b", "F16"), machine(a100()))
    assert WouldFitWith(placed.short_of_gpu, None) in placed.reasons
    assert 52 * GIB < placed.short_of_gpu < 55 * GIB


@pytest.mark.parametrize(
    ("quant", "devices", "verdict", "experts_on_cpu"),
    [
        ("F16", (a100(),), Verdict.NO, None),
        ("Q8_0", (a100(),), Verdict.SPLIT, range(25, 30)),
        ("Q8_0", (a100(), a100(1)), Verdict.GPU, [0]),
        ("Q4_K_M", (a100(),), Verdict.SPLIT, range(1, 5)),
        ("Q4_K_M", (h100(),), Verdict.SPLIT, range(1, 5)),
        ("Q4_K_M", (gpu(24),), Verdict.SPLIT, range(40, 48)),
        ("Q3_K_M", (a100(),), Verdict.GPU, [0]),
    ],
)
def test_mixtral_8x22b(
    quant: str, devices: tuple[Device, ...], verdict: Verdict, experts_on_cpu: range | list[int] | None
) -> None:
    placed = check(shape("mixtral-8x22b", quant), machine(*devices))
    assert placed.verdict is verdict
    if experts_on_cpu is None:
        assert placed.placement is None
        return
    assert placed.placement is not None
    assert placed.placement.gpu_layers == 57, "every layer is on the GPU"
    assert placed.placement.experts_on_cpu in experts_on_cpu
    assert placed.memory[-1].kv == 0


def test_a_laptop_refuses_the_70b_in_one_sentence() -> None:
    placed = check(shape("llama-3.3-70b"), machine(gpu(8, 448), ram=16))
    assert placed.verdict is Verdict.NO
    (reason,) = placed.reasons
    assert sentence(reason) == (
        "Needs 42.3 GiB for weights, 8k of context and buffers; "
        "this machine has 7.0 GiB of GPU memory and 15.0 GiB of RAM to give: 20.3 GiB too little."
    )


# ---- sweeps


def one(gib: float) -> Machine:
    return machine(gpu(gib), ram=512)


def two(gib: float) -> Machine:
    return machine(gpu(gib / 2), gpu(gib / 2, index=1), ram=512)


def uneven(gib: float) -> Machine:
    return machine(gpu(gib / 3, 500), gpu(2 * gib / 3, 1000, index=1), ram=512)


def beside_a_slow_one(gib: float) -> Machine:
    return machine(gpu(4, 300), gpu(gib, 1000, index=1), ram=512)


@pytest.mark.parametrize("build", [one, two, uneven, beside_a_slow_one])
@pytest.mark.parametrize(("model", "ctx"), [(DENSE, 4096), (MOE, 4096), ("gpt-oss-20b", 16384)])
def test_more_memory_is_never_slower_and_never_worse_than_fit(
    model: str, ctx: int, build: Callable[[float], Machine]
) -> None:
    """From nothing to more than enough, at one context."""
    weights = shape(model)
    most = 1.4 * weights.bytes / GIB + 5
    last = 0.0
    for step in range(9):
        there = build(most * step / 8)
        placed = check(weights, there, Wish(ctx=ctx))
        rival = fitted(problem_on(weights, there), ContextSettings(ctx))
        assert requests(placed) >= 0.999 * last
        assert requests(placed) >= 0.997 / rival.seconds or rival.missing
        last = requests(placed)
    assert placed.verdict is Verdict.GPU


@pytest.mark.parametrize("model", [DENSE, MOE])
def test_unasked_the_context_is_the_largest_that_stays_on_the_gpu(model: str) -> None:
    weights = shape(model)
    verdicts = []
    for gib in (1, 4, 5, 6, 8, 12, 18, 19, 20, 24, 80):
        placed = check(weights, one(gib))
        assert placed.placement is not None
        verdicts.append(placed.verdict)
        if placed.verdict is not Verdict.GPU:
            assert placed.placement.ctx == 8192
            assert place(weights, one(gib), Wish(ctx=4096)).verdict is not Verdict.GPU
        elif placed.placement.ctx < weights.context_trained:
            more = Wish(ctx=placed.placement.ctx + 256)
            assert place(weights, one(gib), more).verdict is not Verdict.GPU
    assert set(verdicts) == {Verdict.GPU, Verdict.SPLIT, Verdict.CPU}


@pytest.mark.parametrize("model", ["mixtral-8x7b", MOE, "deepseek-v2-lite", "gpt-oss-20b"])
def test_caches_leave_the_gpu_after_the_last_expert(model: str) -> None:
    weights = shape(model)
    expert_layers = sum(bool(block.movable) for block in blocks_of(weights).layers)
    for step in range(1, 16):
        placed = check(weights, one(step * 0.7), Wish(ctx=16384))
        assert placed.placement is not None
        if placed.memory[-1].kv and placed.placement.devices:
            on_gpu = placed.placement.gpu_layers - 1
            assert placed.placement.experts_on_cpu >= min(on_gpu, expert_layers) - 1


def test_fewest_devices_that_hold_it_all() -> None:
    four = machine(*(gpu(24, 1000, index) for index in range(4)))
    wish = Wish(split_mode=SplitMode.LAYER)
    assert place(shape(DENSE), four, wish).placement == place(shape(DENSE), machine(gpu(24)), wish).placement
    placed = check(shape("mistral-small-24b"), four, replace(wish, ctx=32768))
    assert placed.placement is not None and len(placed.placement.devices) == 1


def test_the_fast_device_is_preferred_whatever_its_index() -> None:
    there = machine(gpu(24, 300), gpu(24, 1000, index=1))
    placed = check(shape(DENSE), there, Wish(ctx=8192))
    assert placed.placement is not None and placed.placement.devices == ("CUDA1",)


def test_equal_devices_share_evenly() -> None:
    placed = check(shape("llama-3.3-70b"), machine(a100(), a100(1)), Wish(ctx=131072, split_mode=SplitMode.LAYER))
    assert placed.placement is not None
    assert placed.placement.tensor_split in ((40, 41), (41, 40))


def test_experts_find_room_on_another_gpu() -> None:
    """A card with room for no more layers still takes tensors of its neighbour's."""
    weights = shape("mixtral-8x22b")
    targets = set()
    for extra in range(8):
        placed = check(weights, machine(gpu(20 + extra / 2), gpu(23, index=1)), Wish(ctx=4096))
        assert placed.placement is not None
        targets |= {override.device for override in placed.placement.overrides}
        room = [row.free_after + row.overhead - GIB for row in placed.memory[:-1]]
        smallest = min(part.bytes for block in blocks_of(weights).layers for part in block.movable.values())
        assert max(room) < smallest + 200 * MIB
    assert "CPU" in targets


def test_shared_memory_is_not_spent_twice() -> None:
    metal = Device("MTL0", Kind.GPU, "M3", 48 * GIB, 48 * GIB, 300e9, shares_host_memory=True)
    there = machine(metal, ram=64, ram_gbps=300)
    placed = check(shape("llama-3.3-70b"), there)
    assert placed.verdict is Verdict.GPU
    assert sum(row.total for row in placed.memory) <= 64 * GIB - 64 * GIB // 20
    assert check(shape("llama-3.3-70b", "Q8_0"), there).verdict is Verdict.NO


def test_a_limit_on_shared_memory_is_named_where_it_decides() -> None:
    """Q4_K_M takes 39.6 GiB: too much for the GPU's 36, and within the 48 that there are."""
    metal = Device("MTL0", Kind.GPU, "M4 Pro", 36 * GIB, 36 * GIB, 273e9, shares_host_memory=True)
    there = machine(metal, ram=48, ram_gbps=273)

    def limits(there: Machine, wish: Wish) -> list[SharedLimit]:
        reasons = check(shape("llama-3.3-70b"), there, wish).reasons
        return [reason for reason in reasons if isinstance(reason, SharedLimit)]

    (limit,) = limits(there, Wish(ctx=2048))
    assert (limit.limit, limit.ram, limit.metal) == (36 * GIB, 48 * GIB, True)
    raised = replace(metal, total=limit.wanted, free=limit.wanted)
    assert check(shape("llama-3.3-70b"), machine(raised, ram=48), Wish(ctx=2048)).verdict is Verdict.GPU
    assert limits(there, Wish(ctx=65536)) == []  # not even all memory would do
    assert limits(there, Wish(ctx=2048, vram_limit=30 * GIB)) == []  # the user's own limit
    (amd,) = limits(machine(replace(metal, kind=Kind.IGPU, id="ROCm0"), ram=48), Wish(ctx=2048))
    assert not amd.metal


# ---- wishes


def test_layers_by_command_are_kept_even_where_they_overdraw() -> None:
    weights, there = shape("llama-3.3-70b"), machine(gpu(24))
    fits = check(weights, there, Wish(gpu_layers=30))
    assert (fits.verdict, fits.placement and fits.placement.gpu_layers) == (Verdict.SPLIT, 30)
    placed = check(weights, there, Wish(gpu_layers=60))
    assert placed.verdict is Verdict.NO and tps(placed) > tps(fits)
    assert placed.placement is not None and placed.placement.gpu_layers == 60 and not placed.placement.overrides
    overdrawn, fitting, *_ = placed.reasons
    assert isinstance(overdrawn, Overdrawn) and overdrawn.device == "CUDA0" and 8 * GIB < overdrawn.bytes < 9 * GIB
    assert isinstance(fitting, LayersThatFit)
    most = fitting.count
    assert place(weights, there, Wish(gpu_layers=most)).verdict is Verdict.SPLIT
    assert place(weights, there, Wish(gpu_layers=most + 1)).verdict is Verdict.NO


def test_the_layers_that_fit_are_found_where_fewer_would_overdraw_ram() -> None:
    """Each layer that leaves the GPU needs RAM, of which there is too little for all of them."""
    model, there = shape("mixtral-8x22b"), machine(gpu(24), ram=64)
    placed = check(model, there, Wish(gpu_layers=99))
    (fitting,) = (reason for reason in placed.reasons if isinstance(reason, LayersThatFit))
    assert check(model, there, Wish(gpu_layers=5)).verdict is Verdict.NO
    assert check(model, there, Wish(gpu_layers=fitting.count)).verdict is Verdict.SPLIT
    assert check(model, there, Wish(gpu_layers=fitting.count + 1)).verdict is Verdict.NO


@pytest.mark.parametrize(("asked", "got"), [(0, 0), (1, 1), (33, 33), (999, 33), (-1, 33)])
def test_layers_by_command_are_clamped(asked: int, got: int) -> None:
    placed = check(shape(DENSE), machine(gpu(24)), Wish(gpu_layers=asked))
    assert placed.placement is not None and placed.placement.gpu_layers == got
    assert placed.verdict is (Verdict.CPU if got == 0 else Verdict.GPU if got == 33 else Verdict.SPLIT)


@pytest.mark.parametrize(
    ("wish", "devices", "counts"),
    [
        (Wish(tensor_split=(3, 1)), ("CUDA0", "CUDA1"), (25, 8)),
        (Wish(tensor_split=(0, 1)), ("CUDA1",), (33,)),
        (Wish(tensor_split=(1, 1), devices=("CUDA1", "CUDA0")), ("CUDA1", "CUDA0"), (17, 16)),
        (Wish(tensor_split=(1, 1), gpu_layers=10), ("CUDA0", "CUDA1"), (5, 5)),
        (Wish(devices=("cuda1",)), ("CUDA1",), (33,)),
        (Wish(devices=("cpu",)), (), ()),
    ],
)
def test_devices_and_proportions_are_kept(wish: Wish, devices: tuple[str, ...], counts: tuple[int, ...]) -> None:
    placed = check(shape(DENSE), machine(gpu(24), gpu(24, index=1)), replace(wish, ctx=8192))
    assert placed.placement is not None
    assert (placed.placement.devices, placed.placement.tensor_split) == (devices, counts)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (Wish(devices=("CUDA7",)), "no device 'cuda7'; this machine has CUDA0"),
        (Wish(tensor_split=(1, 2)), "2 shares for 1 devices"),
        (Wish(tensor_split=(0,)), "one of them above 0"),
        (Wish(tensor_split=(-1,)), "0 or more"),
        (Wish(kv_type="q6_K"), "not a type of KV cache"),
    ],
)
def test_senseless_wishes_are_refused_in_one_sentence(wish: Wish, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        place(shape(DENSE), machine(gpu(24)), wish)


def test_limits_and_margins_narrow_the_machine() -> None:
    weights = shape(DENSE)
    limited_card = check(weights, machine(gpu(80)), Wish(vram_limit=6 * GIB))
    assert limited_card.memory[0].free == 6 * GIB
    assert limited_card.placement == place(weights, machine(gpu(6)), NO_WISH).placement
    wide = check(weights, machine(gpu(8)), Wish(margin=0)).placement
    narrow = check(weights, machine(gpu(8)), Wish(margin=2 * GIB)).placement
    assert wide is not None and narrow is not None and wide.ctx > narrow.ctx + 8192
    assert check(weights, machine(), Wish(ram_limit=4 * GIB)).verdict is Verdict.NO
    assert check(weights, machine(), Wish(ram_limit=8 * GIB)) == check(weights, machine(ram=8))


def test_a_wished_context_binds_even_above_the_trained_length() -> None:
    placed = check(shape("qwen2.5-7b"), machine(gpu(24)), Wish(ctx=40000))
    assert placed.placement is not None and placed.placement.ctx == 40192
    assert BeyondTrained(40192, 32768) in placed.reasons


def test_a_trained_length_that_is_no_multiple_of_256() -> None:
    placed = check(replace(shape(DENSE), context_trained=2000), machine(gpu(24)))
    assert placed.placement is not None and (placed.placement.ctx, placed.verdict) == (1792, Verdict.GPU)


def test_a_trained_length_below_the_least_that_there_is() -> None:
    for there in (machine(gpu(24)), machine(ram=48)):
        placed = check(replace(shape(DENSE), context_trained=128), there)
        assert placed.placement is not None and placed.placement.ctx == 256, "llama.cpp allocates 256 at a time"
        assert placed.predicted is not None


def test_ubatch_and_kv_type_give_way_only_where_nothing_else_fits() -> None:
    weights = shape(DENSE)
    for ram in (48, 24, 16, 12, 10):
        placed = check(weights, machine(ram=ram), Wish(ctx=32768))
        assert placed.placement is None or (placed.placement.ctx, placed.placement.ubatch) == (32768, 512)
        lowered = placed.placement is not None and placed.placement.kv_type != "f16"
        assert (Lowered("kv_type", "q8_0", "f16") in placed.reasons) == lowered
    assert check(weights, machine(ram=9), Wish(ctx=32768, kv_type="f16")).verdict is Verdict.NO


@pytest.mark.parametrize(
    ("there", "model", "quant", "threads", "load_mode"),
    [
        (machine(gpu(24), cores=8), DENSE, "Q4_K_M", 2, "mmap"),
        (machine(gpu(8), cores=8), MOE, "Q4_K_M", 7, "none"),
        (machine(cores=2), DENSE, "Q4_K_M", 2, "none"),  # would be stored twice while mapped
        (machine(cores=1), DENSE, "F16", 1, "mmap"),
    ],
)
def test_threads_and_load_mode(there: Machine, model: str, quant: str, threads: int, load_mode: str) -> None:
    placement = check(shape(model, quant), there).placement
    assert placement is not None and (placement.threads, placement.load_mode) == (threads, load_mode)
    asked = place(shape(model, quant), there, Wish(threads=5)).placement
    assert asked is not None and asked.threads == 5


def test_what_was_assumed_about_the_machine_is_among_the_reasons() -> None:
    there = replace(machine(gpu(24)), notes=("64 GiB of RAM were assumed.",))
    assert Noted("64 GiB of RAM were assumed.") in place(shape(DENSE), there, NO_WISH).reasons


# ---- any machine at all


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    """Up to four devices of all sizes and speeds beside any amount of RAM."""
    sizes = draw(st.lists(st.floats(0, 60), max_size=4))
    kinds = st.sampled_from([(1000.0, True, False), (300.0, True, False), (50.0, False, True), (20.0, False, False)])
    devices = []
    for index, size in enumerate(sizes):
        gbps, has_buffer, shares = draw(kinds)
        device = replace(gpu(size, gbps, index), has_host_buffer=has_buffer, shares_host_memory=shares)
        devices.append(device)
    return machine(*devices, ram=draw(st.floats(0.5, 96)))


WISHES = st.builds(
    Wish,
    ctx=st.none() | st.integers(1, 200_000),
    kv_type=st.none() | st.sampled_from(["f16", "q8_0", "q4_0"]),
    gpu_layers=st.none() | st.integers(-2, 60),
    ubatch=st.none() | st.sampled_from([1, 256, 2048]),
    margin=st.none() | st.integers(0, 4 * GIB),
    vram_limit=st.none() | st.integers(0, 80 * GIB),
)


@settings(max_examples=40, derandomize=True)
@given(machines(), WISHES, st.sampled_from([DENSE, MOE, "gemma-3-27b", "granite-4.0-h-tiny"]))
def test_no_machine_and_no_wish_breaks_the_ledger(there: Machine, wish: Wish, model: str) -> None:
    check(shape(model), there, wish)


# ---- rehearsals


def llama_cpp_needs(shape_: ModelShape, there: Machine, more: int, asked: list[Placement]) -> Rehearser:
    """A llama.cpp that takes `more` bytes of compute on every device than the ledger says."""

    def rehearse(placement: Placement) -> Rehearsed:
        asked.append(placement)
        lines = ledger(shape_, there, placement)
        return Rehearsed(tuple(ComponentBytes(row.device, row.weights, row.kv, row.compute + more) for row in lines))

    return rehearse


@pytest.mark.parametrize("more", [0, 300 * MIB, 3 * GIB, -400 * MIB])
@pytest.mark.parametrize(("model", "gib"), [(DENSE, 10), (MOE, 12), ("llama-3.3-70b", 24)])
def test_what_a_rehearsal_says_is_charged(model: str, gib: float, more: int) -> None:
    weights, there = shape(model), machine(gpu(gib), gpu(gib, index=1))
    asked: list[Placement] = []
    placed = place(weights, there, NO_WISH, llama_cpp_needs(weights, there, more, asked))
    assert placed.confirmed_by is Source.REHEARSAL
    assert placed.placement in asked and len(asked) <= MOST_REHEARSALS
    assert placed.verdict is not Verdict.NO
    for row in placed.memory[:-1]:
        assert row.free - row.weights - row.kv - row.compute >= GIB
    if more == 0:
        assert len(asked) == 1


def test_a_refusal_is_a_no_with_its_words() -> None:
    placed = place(shape(DENSE), machine(gpu(24)), NO_WISH, lambda _: Rehearsed((), refusal="head size 80"))
    assert placed.verdict is Verdict.NO
    assert placed.reasons[0] == Refused("head size 80")


def test_without_an_answer_the_formulas_stand() -> None:
    placed = place(shape(DENSE), machine(gpu(24)), NO_WISH, lambda _: None)
    assert placed == place(shape(DENSE), machine(gpu(24)), NO_WISH)
    assert placed.confirmed_by is Source.FORMULA
