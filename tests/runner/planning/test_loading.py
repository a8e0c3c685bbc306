"""How a placement is loaded."""

from dataclasses import replace

import pytest

from runner.planning.loading import mapped
from runner.types.placement import Override, Placement

WHOLE = Placement(("CUDA0",), gpu_layers=33, layers_total=33, tensor_split=(33,), ctx=8192, load_mode="none")
SPLIT = replace(WHOLE, gpu_layers=20, tensor_split=(20,))
EXPERTS = replace(WHOLE, overrides=(Override("blk.3.ffn_up_exps", "CPU"),), experts_on_cpu=1)
ON_CPU = replace(WHOLE, devices=(), gpu_layers=0, tensor_split=())


@pytest.mark.parametrize("placement", [SPLIT, EXPERTS, ON_CPU])
def test_weights_on_the_host_can_be_mapped_instead(placement: Placement) -> None:
    again = mapped(placement)
    assert again == replace(placement, load_mode="mmap")
    assert again is not None and mapped(again) is None


def test_nothing_is_to_be_mapped_where_no_weights_are_on_the_host() -> None:
    assert mapped(WHOLE) is None
