"""When every layer is split over the GPUs, and when that cannot be."""

from dataclasses import replace

import pytest

from models.errors import UsageError
from runner.cost.laid_out import ledger
from runner.cost.ledger import Rehearsed
from runner.planning.placement import place
from runner.report.sentences import sentence
from runner.types.engine import ComponentBytes
from runner.types.machine import Device, Kind
from runner.types.placement import Placement, SplitMode
from runner.types.plan import Source, Verdict
from runner.types.reasons import Overdrawn, SplitByTensor
from runner.types.wish import Wish
from tests.support.planner import gpu, machine, shape

TENSOR, LAYER = Wish(split_mode=SplitMode.TENSOR), Wish(split_mode=SplitMode.LAYER)
PAIR = (gpu(24), gpu(24, index=1))
LENT = tuple(replace(device, id=f"RPC{number}", kind=Kind.RPC) for number, device in enumerate(PAIR))
RADEONS = tuple(replace(device, id=f"ROCm{number}") for number, device in enumerate(PAIR))


@pytest.mark.parametrize(
    ("model", "devices", "wish", "mode"),
    [
        ("llama-3.3-70b", PAIR, Wish(), "tensor"),
        ("llama-3.3-70b", PAIR, LAYER, "layer"),
        ("llama-3.3-70b", PAIR, Wish(gpu_layers=81), "layer"),
        ("llama-3.3-70b", PAIR, Wish(tensor_split=(1, 1)), "layer"),
        ("llama-3.3-70b", PAIR[:1], Wish(), "layer"),
        ("llama-3.3-70b", (gpu(24), gpu(24, 300, index=1)), Wish(), "layer"),
        ("llama-3.3-70b", (gpu(24), gpu(16, index=1)), Wish(), "layer"),
        ("llama-3.3-70b", LENT, Wish(), "layer"),
        ("llama-3.3-70b", RADEONS, Wish(), "layer"),
        ("llama-3.3-70b", RADEONS, TENSOR, "tensor"),
        ("mistral-small-24b", (gpu(24), gpu(24, 300, index=1)), TENSOR, "tensor"),
        ("qwen3-30b-a3b", PAIR, Wish(), "layer"),
        ("qwen3-30b-a3b", PAIR, TENSOR, "tensor"),
        ("deepseek-v2-lite", PAIR, Wish(), "layer"),
    ],
)
def test_mode(model: str, devices: tuple[Device, ...], wish: Wish, mode: str) -> None:
    there, weights = machine(*devices), shape(model)
    placed = place(weights, there, wish)
    assert placed.placement is not None and placed.verdict is not Verdict.NO
    assert placed.placement.split_mode == mode
    assert placed.memory == ledger(weights, there, placed.placement)
    assert any(isinstance(reason, SplitByTensor) for reason in placed.reasons) == (mode == "tensor")
    if mode == "tensor":
        assert placed.verdict is Verdict.GPU and not placed.placement.overrides
        assert placed.placement.tensor_split == (placed.placement.layers_total,) * 2


@pytest.mark.parametrize(
    ("model", "devices", "wish", "said"),
    [
        ("llama-3.1-8b", (), TENSOR, "needs two GPUs or more; here is none"),
        ("llama-3.1-8b", PAIR[:1], TENSOR, "here is CUDA0 alone"),
        ("llama-3.1-8b", PAIR, replace(TENSOR, devices=("CUDA1",)), "here is CUDA1 alone"),
        ("llama-3.1-8b", (PAIR[0], LENT[1]), TENSOR, "these are CUDA and RPC"),
        ("deepseek-v2-lite", PAIR, TENSOR, "cannot split the layers of deepseek2 models"),
        ("llama-3.1-8b", PAIR, replace(TENSOR, tensor_split=(3, 1)), "leave --tensor-split away"),
        ("llama-3.1-8b", PAIR, replace(TENSOR, gpu_layers=20), "leave --gpu-layers away"),
    ],
)
def test_asked_for_where_it_cannot_be(model: str, devices: tuple[Device, ...], wish: Wish, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        place(shape(model), machine(*devices), wish)


def test_asked_for_and_too_large_is_said_in_numbers() -> None:
    placed = place(shape("llama-3.3-70b"), machine(gpu(16), gpu(16, index=1)), TENSOR)
    assert placed.verdict is Verdict.NO
    overdrawn = [reason for reason in placed.reasons if isinstance(reason, Overdrawn)]
    assert [reason.device for reason in overdrawn] == ["CUDA0", "CUDA1"]


def test_a_plan_that_chose_it_says_so() -> None:
    placed = place(shape("llama-3.3-70b"), machine(*PAIR), Wish())
    assert sentence(placed.reasons[0]) == (
        "Each layer is split across both GPUs (-sm tensor): answers come about 1.7x as fast as from whole layers, one "
        "GPU after the other. llama.cpp calls this experimental."
    )
    assert "all 4 GPUs" in sentence(SplitByTensor(4, 2.0))
    assert "about 1.4x slower than from whole layers" in sentence(SplitByTensor(2, 0.7))
    assert "whole layers would not fit" in sentence(SplitByTensor(2, None))


def _refuses_tensor(placement: Placement) -> Rehearsed | None:
    if placement.split_mode is SplitMode.TENSOR:
        return Rehearsed((), refusal="SPLIT_MODE_TENSOR not implemented")
    return Rehearsed(tuple(ComponentBytes(name, 1, 1, 1) for name in (*placement.devices, "CPU")))


def _dies_of_tensor(placement: Placement) -> Rehearsed | None:
    return None if placement.split_mode is SplitMode.TENSOR else _refuses_tensor(placement)


@pytest.mark.parametrize("rehearse", [_refuses_tensor, _dies_of_tensor])
def test_unasked_it_gives_way_where_llama_cpp_does_not_take_it(rehearse: object) -> None:
    assert callable(rehearse)
    placed = place(shape("llama-3.3-70b"), machine(*PAIR), Wish(), rehearse)
    assert placed.placement is not None and placed.placement.split_mode is SplitMode.LAYER
    assert placed.verdict is not Verdict.NO and placed.confirmed_by is Source.REHEARSAL
