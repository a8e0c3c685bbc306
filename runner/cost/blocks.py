"""A model as the planner moves it about: layers, their cores and movable parts. Pure.

llama.cpp places whole layers (llama-model.cpp: load_tensors), and each layer's KV cache follows its layer
(llama-kv-cache.cpp: dev_layer); overrides then move single tensors (llama-model-loader.cpp: create_tensor). A
`Block` is a layer seen that way: a core that stays together, and the FFN tensors (in a mixture of experts: the routed
experts) that may live elsewhere.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from models.headers.shape import ModelShape, Role, Tensor
from models.headers.tensor_split import is_divided
from runner.cost.kv import Caches, caches_of

_MOVABLE = re.compile(r"blk\.\d+\.(ffn_(?:gate_up|gate|up|down)(?:_chexps|_exps)?)\.")


# Cycles of one multiprocessor that unpacking a weight takes, fitted with the speeds of runner.cost.speed; floats need
# none to speak of. Some backends are much slower yet with those below the line.
_FLOATS = ("F32", "F16", "BF16")
_FLOAT_CYCLES = 0.0023
USUAL_CYCLES = 0.0255
_SLOW_CYCLES = {"Q2_K": 0.028, "Q3_K": 0.055, "MXFP4": 0.05, "NVFP4": 0.05}
_IQ_CYCLES = 0.05


@dataclass(frozen=True, slots=True)
class Part:
    """Tensors that stay together: bytes stored, and bytes and weights (values) that one token reads.

    `floats` of those weights are stored as floats; `unpack` cycles turn the others into numbers, `slow` of them for
    types that are slow to unpack. `routed`, `routed_bytes`: all weights and bytes of routed experts.
    """

    bytes: int = 0
    read: float = 0.0
    weights: float = 0.0
    floats: float = 0.0
    unpack: float = 0.0
    slow: float = 0.0
    routed: int = 0
    routed_bytes: int = 0

    def __add__(self, other: "Part") -> "Part":
        return self.plus(other, 1)

    def plus(self, other: "Part", times: int) -> "Part":
        """With so many more of another one; with fewer where `times` is negative."""
        return Part(
            self.bytes + times * other.bytes,
            self.read + times * other.read,
            self.weights + times * other.weights,
            self.floats + times * other.floats,
            self.unpack + times * other.unpack,
            self.slow + times * other.slow,
            self.routed + times * other.routed,
            self.routed_bytes + times * other.routed_bytes,
        )


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
    a device (its block counts them), `shared` bytes (rope factors) once on every device that holds repeating layers
    (both TENSOR_DUPLICATED in llama-model-loader.cpp). `largest` is the biggest tensor of a repeating layer: what a GPU
    needs as scratch to help with host weights.
    `copied`: of all that devices hold, what each of them needs whole where every layer is split over all of them.
    `caches` and `widths` are those of the repeating layers. `alike`: for each layer the first one that is made of the
    same parts. `heads`: what the last of the repeating layers are where they are loaded to predict further tokens;
    else these are empty.
    """

    shape: ModelShape
    layers: tuple[Block, ...]
    input: int
    tied: int
    shared: int
    largest: int
    copied: Part
    caches: Caches
    widths: tuple[Widths, ...]
    alike: tuple[int, ...]
    heads: tuple[Part, ...] = ()


def blocks_of(shape: ModelShape) -> Blocks:
    """Sort the tensors that llama.cpp loads into layers, cores and movable parts."""
    cores = [Part() for _ in range(shape.layers + 1)]
    movable: list[dict[str, Part]] = [{} for _ in cores]
    input_bytes = tied = shared = largest = 0
    copied = Part()
    first_head = shape.layers - len(shape.heads)
    heads = [Part() for _ in shape.heads]
    for tensor in shape.tensors:
        if tensor.unused and (tensor.layer is None or not first_head <= tensor.layer < shape.layers):
            continue
        part = _part(tensor, shape)
        if tensor.unused and tensor.layer is not None:
            heads[tensor.layer - first_head] += part
            continue
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
        in_a_block = tensor.mirrored == (tensor.layer is None)  # tied embeddings are the output layer's
        if in_a_block and not is_divided(tensor.name, shape.arch):
            copied += part
        if tensor.layer is not None and tensor.layer < shape.layers:
            largest = max(largest, tensor.bytes)
    layers = tuple(Block(core, parts, sum(parts.values(), core)) for core, parts in zip(cores, movable, strict=True))
    widths = tuple(_widths(shape, layers))
    alike = tuple(_alike(layers))
    return Blocks(
        shape, layers, input_bytes, tied, shared, largest, copied, caches_of(shape), widths, alike, tuple(heads)
    )


def _alike(layers: Sequence[Block]) -> Iterator[int]:
    seen: dict[tuple[object, ...], int] = {}
    for number, block in enumerate(layers):
        yield seen.setdefault((block.core, *block.movable.items()), number)


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
    """A token reads every tensor whole, of routed experts those that are used (llama-graph.cpp: build_moe_ffn)."""
    routed = tensor.role is Role.EXPERT and shape.experts > 0
    weights = tensor.elements * (shape.experts_used / shape.experts if routed else 1.0)
    unpack, slow = cycles_of(tensor.type)
    return Part(
        bytes=tensor.bytes,
        read=tensor.bytes * (weights / max(1, tensor.elements)),
        weights=weights,
        floats=weights if tensor.type in _FLOATS else 0.0,
        unpack=weights * unpack,
        slow=weights * slow,
        routed=tensor.elements if routed else 0,
        routed_bytes=tensor.bytes if routed else 0,
    )


def cycles_of(type_name: str) -> tuple[float, float]:
    """Cycles of one multiprocessor that unpacking a weight takes, and those of a type that is slow to unpack or 0."""
    slow = _IQ_CYCLES if type_name.startswith("IQ") else _SLOW_CYCLES.get(type_name, 0.0)
    return slow or (_FLOAT_CYCLES if type_name in _FLOATS else USUAL_CYCLES), slow


def _stem(tensor: Tensor, shape: ModelShape) -> str | None:
    """The name that an override can catch this tensor by, None for what stays with its layer."""
    if tensor.role is not (Role.EXPERT if shape.experts else Role.FFN):
        return None
    match = _MOVABLE.match(tensor.name)
    return match and match[1]
