"""Which device holds which part of a model, and how llama.cpp is told. Pure.

llama.cpp places whole layers (llama-model.cpp: load_tensors): the last `gpu_layers` of them, the output layer
included, go to the devices in contiguous runs, the others to the host. Overrides then move single tensors
(llama-model-loader.cpp: create_tensor). A `Layout` says where all of it goes.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runner.types.machine import Device
from runner.types.placement import Override, SplitMode

HOST = -1
_IDLE = Override("^$", "CPU")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is: indices into `devices`, or HOST.

    `layers` has an entry for every layer, the output layer last. `moved` names the movable parts, by layer and
    stem, that are not where their layer is. `sequential`: several devices are to work one after another, because
    pipelining takes more memory; llama.cpp has no switch for it, but any override, even an idle one, turns it off.
    With `split_mode` tensor every layer is on all of `devices`, a slice on each, and `layers` are all at the first.
    """

    devices: tuple[Device, ...]
    layers: tuple[int, ...]
    moved: Mapping[tuple[int, str], int] = field(default_factory=dict)
    sequential: bool = False
    split_mode: SplitMode = SplitMode.LAYER

    @property
    def counts(self) -> tuple[int, ...]:
        """Layers per device."""
        if self.is_by_tensor:
            return (len(self.layers),) * len(self.devices)
        return tuple(self.layers.count(index) for index in range(len(self.devices)))

    @property
    def gpu_layers(self) -> int:
        """Layers on devices, the output layer included."""
        return len(self.layers) - self.layers.count(HOST)

    @property
    def is_by_tensor(self) -> bool:
        """Whether every layer is split over all devices."""
        return self.split_mode is SplitMode.TENSOR

    @property
    def layers_on_host(self) -> int:
        """Layers, with their KV cache, on the host."""
        return len(self.layers) - self.gpu_layers

    @property
    def touched(self) -> frozenset[int]:
        """Repeating layers with a part on the host that their device had no room for."""
        return frozenset(layer for (layer, _stem), target in self.moved.items() if target == HOST)

    @property
    def is_whole(self) -> bool:
        """Whether every layer is on a device and nothing was moved to the host."""
        return bool(self.devices) and not self.layers_on_host and not self.touched

    @property
    def splits(self) -> int:
        """llama.cpp's number of graph splits: one for the host, one a device, two for every layer taken apart.

        As ggml_backend_sched_split_graph (ggml-backend.cpp) cuts the graph wherever the device changes.
        """
        if self.is_by_tensor:
            return 2  # one device to the scheduler (ggml-backend-meta.cpp)
        return 1 + len(self.devices) + 2 * len({layer for layer, _stem in self.moved})


def contiguous(devices: tuple[Device, ...], counts: Iterable[int], layers_total: int) -> Layout:
    """`counts` layers per device, in order, from the back of the model; devices without a layer are left out."""
    kept = [(device, count) for device, count in zip(devices, counts, strict=True) if count]
    homes = [index for index, (_device, count) in enumerate(kept) for _ in range(count)]
    on_host = [HOST] * (layers_total - len(homes))
    return Layout(tuple(device for device, _count in kept), (*on_host, *homes))


def by_tensor(devices: tuple[Device, ...], layers_total: int) -> Layout:
    """Every layer on all of `devices`, in even slices."""
    return Layout(devices, (0,) * layers_total, split_mode=SplitMode.TENSOR)


def overrides_of(layout: Layout) -> tuple[Override, ...]:
    """Few patterns that say `layout.moved`: one for each set of stems that goes from some layers to one device."""
    if layout.sequential:
        return (_IDLE,)
    stems: dict[tuple[int, int], list[str]] = defaultdict(list)
    for (layer, stem), target in sorted(layout.moved.items()):
        stems[layer, target].append(stem)
    layers: dict[tuple[int, tuple[str, ...]], list[int]] = defaultdict(list)
    for (layer, target), names in sorted(stems.items()):
        layers[target, tuple(names)].append(layer)
    return tuple(
        Override(
            rf"^blk\.{_any_of(number_patterns(numbers))}\.{_any_of(names)}\.",
            "CPU" if target == HOST else layout.devices[target].id,
        )
        for (target, names), numbers in layers.items()
    )


def _any_of(choices: Iterable[str]) -> str:
    choices = list(choices)
    return choices[0] if len(choices) == 1 else f"({'|'.join(choices)})"


def number_patterns(numbers: Iterable[int]) -> list[str]:
    """Regexes that together match exactly these numbers: 7..31 is `[7-9]`, `[1-2][0-9]`, `3[0-1]`."""
    digits: dict[int, list[int]] = defaultdict(list)
    for number in sorted(set(numbers)):
        digits[number // 10].append(number % 10)
    tens: dict[str, list[int]] = defaultdict(list)
    for ten, ones in digits.items():
        tens[_digits(ones)].append(ten)
    return [
        prefix + ones
        for ones, numbers in tens.items()
        for prefix in (*([""] if 0 in numbers else ()), *number_patterns(ten for ten in numbers if ten))
    ]


def _digits(digits: list[int]) -> str:
    if len(digits) == 1:
        return str(digits[0])
    if digits[-1] - digits[0] == len(digits) - 1:
        return f"[{digits[0]}-{digits[-1]}]"
    return f"[{''.join(map(str, digits))}]"
