"""Which device holds which part of a model, and how llama.cpp is told. Pure.

llama.cpp places whole layers: the last `gpu_layers` of them, the output layer included, go to the devices in
contiguous runs, the others to the host, and each layer's KV cache follows its layer. Overrides then move single
tensors. A `Block` is a layer seen that way: a core that stays together, and the FFN tensors (in a
mixture of experts: the routed experts) that may live elsewhere. A `Layout` says where all of it goes.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from models.headers.shape import ModelShape, Role, Tensor
from runner.cost.kv import Caches, caches_of
from runner.types.machine import Device
from runner.types.plan import Override

HOST = -1
_IDLE = Override("^$", "CPU")
_MOVABLE = re.compile(r"blk\.\d+\.(ffn_(?:gate_up|gate|up|down)(?:_chexps|_exps)?)\.")


@dataclass(frozen=True, slots=True)
class Part:
    """Tensors that stay together: bytes stored, and bytes and weights (values) that one token reads."""

    bytes: int = 0
    read: float = 0.0
    weights: float = 0.0

    def __add__(self, other: "Part") -> "Part":
        return Part(self.bytes + other.bytes, self.read + other.read, self.weights + other.weights)


@dataclass(frozen=True, slots=True)
class Block:
    """One layer: its core, its movable parts by the stem of their tensors' names (`ffn_up_exps`), and all together."""

    core: Part
    movable: Mapping[str, Part]
    whole: Part

    @property
    def movable_bytes(self) -> int:
        """Bytes of all movable parts."""
        return self.whole.bytes - self.core.bytes

    @property
    def bytes(self) -> int:
        """Bytes of the whole layer."""
        return self.whole.bytes


class Widths(NamedTuple):
    """What a layer computes, in values per token; 0 for what it does not have.

    `mixer` is a recurrent layer's projection, `fixed` an FFN or shared expert that stays with the layer, `movable` one
    that may be elsewhere: all used experts where the layer `routes`. `fused`: gate and up are one tensor.
    """

    mixer: int
    fixed: int
    movable: int
    routes: bool
    fused: bool


@dataclass(frozen=True, slots=True)
class Blocks:
    """A model as the planner moves it about: the repeating layers, then the output layer.

    `input` bytes are always on the host. `tied` bytes of them are needed a second time where the output layer is on
    a device (its block counts them). `shared` bytes (rope factors) exist once on every device that holds repeating
    layers. `largest` is the biggest tensor of a repeating layer: what a GPU needs as scratch to help with host weights.
    `caches` and `widths` are those of the repeating layers.
    """

    shape: ModelShape
    layers: tuple[Block, ...]
    input: int
    tied: int
    shared: int
    largest: int
    caches: Caches
    widths: tuple[Widths, ...]


def blocks_of(shape: ModelShape) -> Blocks:
    """Sort the tensors that llama.cpp loads into layers, cores and movable parts."""
    cores = [Part() for _ in range(shape.layers + 1)]
    movable: list[dict[str, Part]] = [{} for _ in cores]
    input_bytes = tied = shared = largest = 0
    for tensor in shape.tensors:
        if tensor.unused:
            continue
        part = _part(tensor, shape)
        if tensor.mirrored and tensor.role is not Role.EMBEDDING:
            shared += tensor.bytes
        elif tensor.layer is None:
            input_bytes += tensor.bytes
            if tensor.mirrored:
                tied += tensor.bytes
                cores[shape.layers] += part
        elif (stem := _stem(tensor, shape)) is None:
            cores[tensor.layer] += part
        else:
            parts = movable[tensor.layer]
            parts[stem] = parts.get(stem, Part()) + part
        if tensor.layer is not None and tensor.layer < shape.layers:
            largest = max(largest, tensor.bytes)
    layers = tuple(Block(core, parts, sum(parts.values(), core)) for core, parts in zip(cores, movable, strict=True))
    widths = tuple(_widths(shape, layers))
    return Blocks(shape, layers, input_bytes, tied, shared, largest, caches_of(shape), widths)


def _widths(shape: ModelShape, layers: Sequence[Block]) -> Iterator[Widths]:
    """Of every repeating layer; a matrix with the embedding on one side tells how wide the other is."""
    matrices = {
        tensor.name: tensor.elements // max(1, shape.embedding) for tensor in shape.tensors if not tensor.unused
    }
    experts = shape.experts_used * (shape.expert_feed_forward or shape.feed_forward)
    for number, block in enumerate(layers[: shape.layers]):
        mixer, ffn, shared = (
            matrices.get(f"blk.{number}.{stem}.weight", 0) for stem in ("ssm_in", "ffn_down", "ffn_down_shexp")
        )
        routes = bool(shape.experts and block.movable)
        movable = experts if routes else ffn if block.movable else 0
        fused = not shape.experts and "ffn_gate" not in block.movable
        yield Widths(mixer, max(shared, 0 if movable == ffn else ffn), movable, routes, fused)


def _part(tensor: Tensor, shape: ModelShape) -> Part:
    share = shape.experts_used / shape.experts if tensor.role is Role.EXPERT and shape.experts else 1.0
    return Part(tensor.bytes, tensor.bytes * share, tensor.elements * share)


def _stem(tensor: Tensor, shape: ModelShape) -> str | None:
    """The name that an override can catch this tensor by, None for what stays with its layer."""
    if tensor.role is not (Role.EXPERT if shape.experts else Role.FFN):
        return None
    match = _MOVABLE.match(tensor.name)
    return match and match[1]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is: indices into `devices`, or HOST.

    `layers` has an entry for every layer, the output layer last. `moved` names the movable parts, by layer and
    stem, that are not where their layer is. `sequential`: several devices are to work one after another, because
    pipelining takes more memory; llama.cpp has no switch for it, but any override, even an idle one, turns it off.
    """

    devices: tuple[Device, ...]
    layers: tuple[int, ...]
    moved: Mapping[tuple[int, str], int] = field(default_factory=dict)
    sequential: bool = False

    @property
    def counts(self) -> tuple[int, ...]:
        """Layers per device."""
        return tuple(self.layers.count(index) for index in range(len(self.devices)))

    @property
    def gpu_layers(self) -> int:
        """Layers on devices, the output layer included."""
        return sum(self.counts)

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
        """llama.cpp's number of graph splits: one for the host, one a device, two for every layer taken apart."""
        return 1 + len(self.devices) + 2 * len({layer for layer, _stem in self.moved})


def contiguous(devices: tuple[Device, ...], counts: Iterable[int], layers_total: int) -> Layout:
    """`counts` layers per device, in order, from the back of the model; devices without a layer are left out."""
    kept = [(device, count) for device, count in zip(devices, counts, strict=True) if count]
    homes = [index for index, (_device, count) in enumerate(kept) for _ in range(count)]
    on_host = [HOST] * (layers_total - len(homes))
    return Layout(tuple(device for device, _count in kept), (*on_host, *homes))


def layout_of(
    blocks: Blocks, devices: tuple[Device, ...], counts: Iterable[int], overrides: Iterable[Override]
) -> Layout:
    """Read `counts` and `overrides` as llama.cpp does: the first pattern found in a name decides."""
    plain = contiguous(devices, counts, len(blocks.layers))
    index = {device.id: number for number, device in enumerate(plain.devices)} | {"CPU": HOST}
    rules = [(re.compile(override.pattern), index[override.device]) for override in overrides]
    moved: dict[tuple[int, str], int] = {}
    for layer, block in enumerate(blocks.layers):
        for stem in block.movable:
            name = f"blk.{layer}.{stem}.weight"
            target = next((to for rule, to in rules if rule.search(name)), plain.layers[layer])
            if target != plain.layers[layer]:
                moved[layer, stem] = target
    return Layout(plain.devices, plain.layers, moved, sequential=bool(rules) and not moved)


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
