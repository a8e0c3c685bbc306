"""The placement map's data: which device holds the attention and the FFN of every layer. Pure."""

import re
from dataclasses import dataclass
from itertools import cycle, islice

from runner.types.placement import Placement, SplitMode

CPU = "CPU"
_DENSE = ("ffn_up", "ffn_gate", "ffn_down")
_EXPERTS = ("ffn_up_exps", "ffn_gate_exps", "ffn_down_exps")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as llama.cpp counts them; the last is the output layer and has no FFN of its own.

    `ffn` is the device of its FFN or routed experts; `partly`: only some of those tensors are there.
    """

    index: int
    device: str
    ffn: str
    partly: bool = False


def layers(placement: Placement, *, experts: bool) -> tuple[Layer, ...]:
    """All layers, front to back: whole layers by count, then the overrides on the FFN or expert tensors.

    llama.cpp offloads the last `gpu_layers` layers and deals them to `devices` in order by `tensor_split`;
    the first override whose pattern is found in a tensor's name wins. Where every layer is split over all devices they
    are drawn in turn.
    """
    if placement.split_mode is SplitMode.TENSOR:
        turns = islice(cycle(placement.devices), placement.layers_total)
        return tuple(Layer(index, device, device) for index, device in enumerate(turns))
    on_cpu = placement.layers_total - placement.gpu_layers
    order = [CPU] * on_cpu
    for device, count in zip(placement.devices, placement.tensor_split, strict=False):
        order += [device] * count
    order = (order + [CPU] * placement.layers_total)[: placement.layers_total]
    return tuple(_layer(index, device, placement, experts=experts) for index, device in enumerate(order))


def _layer(index: int, device: str, placement: Placement, *, experts: bool) -> Layer:
    if index == placement.layers_total - 1:
        return Layer(index, device, device)
    names = [f"blk.{index}.{part}.weight" for part in (_EXPERTS if experts else _DENSE)]
    homes = [_home(name, device, placement) for name in names]
    away = [home for home in homes if home != device]
    return Layer(index, device, away[0] if away else device, partly=0 < len(away) < len(homes))


def _home(tensor: str, device: str, placement: Placement) -> str:
    """The device of one tensor."""
    found = (override.device for override in placement.overrides if re.search(override.pattern, tensor))
    return next(found, device)
