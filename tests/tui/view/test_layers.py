"""The placement map's data, in llama.cpp's own way of counting."""

from dataclasses import replace

import pytest

from runner.types.placement import Override, Placement, SplitMode
from scripts.draw.plans import expert_plan, small_plan
from tui.view.layers import Layer, layers

TWO = Placement(("CUDA0", "CUDA1"), 5, 5, (3, 2), 4096)


def row(placement: Placement, *, experts: bool = False) -> str:
    marks = {"CUDA0": "0", "CUDA1": "1", "CPU": "c"}
    return "".join(marks[layer.device] for layer in layers(placement, experts=experts))


@pytest.mark.parametrize(
    ("placement", "devices"),
    [
        (TWO, "00011"),
        (replace(TWO, gpu_layers=3, tensor_split=(2, 1)), "cc001"),
        (replace(TWO, gpu_layers=0, tensor_split=(0, 0)), "ccccc"),
        (Placement((), 0, 3, (), 4096), "ccc"),
        (replace(TWO, gpu_layers=99, tensor_split=(60, 39)), "00000"),
        (replace(TWO, tensor_split=(1,)), "0cccc"),
        (replace(TWO, tensor_split=(5, 5), split_mode=SplitMode.TENSOR), "01010"),
    ],
)
def test_whole_layers(placement: Placement, devices: str) -> None:
    assert row(placement) == devices


def test_overrides_move_the_ffn_and_leave_the_rest() -> None:
    pattern = r"\.(1|2)\.ffn_(up|down|gate)\."
    moved = layers(replace(TWO, overrides=(Override(pattern, "CPU"),)), experts=False)
    assert [layer.ffn for layer in moved] == ["CUDA0", "CPU", "CPU", "CUDA1", "CUDA1"]
    assert [layer.device for layer in moved] == ["CUDA0", "CUDA0", "CUDA0", "CUDA1", "CUDA1"]
    assert not any(layer.partly for layer in moved)


def test_the_first_override_wins_and_a_part_is_told() -> None:
    overrides = (Override(r"blk\.0\.ffn_up", "CUDA1"), Override(r"blk\.0\.ffn", "CPU"))
    assert layers(replace(TWO, overrides=overrides), experts=False)[0] == Layer(0, "CUDA0", "CUDA1")
    only_down = (Override(r"blk\.0\.ffn_down", "CPU"),)
    assert layers(replace(TWO, overrides=only_down), experts=False)[0] == Layer(0, "CUDA0", "CPU", partly=True)


def test_experts_have_tensors_of_their_own() -> None:
    placement = expert_plan().candidates[0].placement
    assert placement is not None
    experts = layers(placement, experts=True)
    assert sum(layer.ffn == "CPU" for layer in experts) == 33
    assert sum(layer.partly for layer in experts) == 1
    assert all(layer.device != "CPU" for layer in experts)
    assert experts[-1] == Layer(56, "CUDA1", "CUDA1")


def test_no_device_at_all() -> None:
    placement = small_plan().candidates[0].placement
    assert placement is not None
    assert {layer.device for layer in layers(placement, experts=False)} == {"CPU"}
