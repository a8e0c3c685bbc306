"""A header in the planner's words: bytes by tensor and role, and what every layer keeps per token. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from models.errors import BadFile
from models.headers import architectures as known
from models.headers.gguf import Array, Header, TensorInfo
from models.headers.hyperparameters import Hyperparameters
from models.headers.memory import LayerMemory, head_memory, layer_memory
from models.headers.quants import TYPES
from models.headers.roles import Role, is_never_loaded, is_rope, role_and_layer
from models.headers.shards import check_shards

__all__ = ["LayerMemory", "ModelShape", "Role", "Tensor", "shape_of"]


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor.

    `layer` is None for the input (always on the host), 0..layers-1 for a repeating layer, `layers` for the
    output layer. `bytes` is its size in the file. `mirrored` marks a tensor that llama.cpp creates once more on
    each device that needs it: tied embeddings (layer None) on the output layer's device unless that is the host,
    rope factors (layer 0) on every device that holds repeating layers, instead of once. `unused` marks what llama.cpp
    does not load (multi-token-prediction blocks).
    """

    name: str
    role: Role
    layer: int | None
    bytes: int
    type: str
    elements: int
    mirrored: bool = False
    unused: bool = False


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Everything the planner needs to know about one set of weights.

    `layers` counts the repeating layers, those for multi-token prediction included; llama.cpp's layer count has the
    output layer on top. `embedding`, `feed_forward`, `expert_feed_forward` and `vocabulary` are widths in values
    (the largest where layers differ). `kv_same_type` is true where K and V must have one type (MLA).
    `attention_width` is n_head x head length of K. `is_causal`: a token sees none behind it. `memory` has one entry a
    layer; a few architectures keep more than it describes (indexers of sparse attention, compressed keys, another
    model's cache), which a rehearsal tells. `heads`: what each of the last blocks remembers where they are loaded to
    predict further tokens; empty where there are none, or nothing computes them.
    """

    arch: str
    name: str
    parameters: int
    layers: int
    context_trained: int
    vocabulary: int
    embedding: int
    feed_forward: int
    attention_width: int
    experts: int
    experts_used: int
    expert_feed_forward: int
    kv_same_type: bool
    tensors: tuple[Tensor, ...]
    memory: tuple[LayerMemory, ...]
    is_causal: bool = True
    heads: tuple[LayerMemory, ...] = ()

    @property
    def has_logits(self) -> bool:
        """Whether the graph ends in logits."""
        return self.arch not in known.WITHOUT_LOGITS

    @property
    def bytes(self) -> int:
        """Bytes of all tensors as stored."""
        return sum(tensor.bytes for tensor in self.tensors)

    @property
    def bits_per_weight(self) -> float:
        """Mean bits per parameter."""
        return 8 * self.bytes / max(1, self.parameters)


def shape_of(headers: Sequence[Header]) -> ModelShape:
    """The shape of one model from its file's header, or from the headers of all its shards in order.

    BadFile where llama.cpp could not load the model: an unknown architecture, a missing or senseless
    hyperparameter, shards that do not belong together.
    """
    check_shards(headers, [f"shard {number}" for number in range(1, len(headers) + 1)])
    arch = _architecture(headers[0])
    numbers = Hyperparameters(headers[0].kv, arch)
    infos = tuple(chain.from_iterable(header.tensors for header in headers))
    experts, experts_used = numbers.experts
    feed_forward = max(numbers.per_layer("feed_forward_length"))
    expert_width = max(numbers.per_layer("expert_feed_forward_length")) or feed_forward
    name = headers[0].kv.get("general.name")
    return ModelShape(
        arch=arch,
        name=name if isinstance(name, str) else arch,
        parameters=sum(info.elements for info in infos),
        layers=numbers.layers,
        context_trained=numbers.required("context_length"),
        vocabulary=vocabulary_of(headers, numbers),
        embedding=numbers.required("embedding_length"),
        feed_forward=feed_forward,
        attention_width=max(numbers.per_layer("attention.head_count")) * numbers.head_length("key"),
        experts=experts,
        experts_used=experts_used,
        expert_feed_forward=expert_width if experts else 0,
        kv_same_type=numbers.is_mla,
        tensors=tuple(_tensors(infos, numbers, mirrors_embeddings=_mirrors_embeddings(arch, infos))),
        memory=layer_memory(numbers),
        is_causal=arch not in known.WITHOUT_MEMORY and bool(numbers.number("attention.causal", 1)),
        heads=head_memory(numbers) if any(info.name.endswith(".nextn.eh_proj.weight") for info in infos) else (),
    )


def _architecture(header: Header) -> str:
    arch = header.kv.get("general.architecture")
    if not isinstance(arch, str):
        raise BadFile("the header does not name an architecture")
    if arch == "clip":
        raise BadFile("this is a projector for images or sound (mmproj), not a language model")
    if arch not in known.KNOWN:
        raise BadFile(f"this llama.cpp does not know the architecture {arch[:64]!r}")
    return arch


def _mirrors_embeddings(arch: str, infos: Iterable[TensorInfo]) -> bool:
    """Whether the output layer multiplies with a copy of the embeddings, for want of a matrix of its own."""
    names = {info.name for info in infos}
    is_tied = "token_embd.weight" in names and "output.weight" not in names
    return is_tied and arch not in known.ENCODERS | known.OUTPUT_ON_HOST


def vocabulary_of(headers: Sequence[Header], numbers: Hyperparameters) -> int:
    """Tokens of the tokenizer; of a file without one what its header says, else a row of the embeddings for each."""
    tokens = numbers.kv.get("tokenizer.ggml.tokens")
    if isinstance(tokens, Array):
        return tokens.count
    infos = chain.from_iterable(header.tensors for header in headers)
    embeddings = (info.dims[-1] for info in infos if info.name == "token_embd.weight" and info.dims)
    return numbers.number("vocab_size") or next(embeddings, 0)


def _tensors(infos: Iterable[TensorInfo], numbers: Hyperparameters, *, mirrors_embeddings: bool) -> Iterable[Tensor]:
    loaded = numbers.blocks if numbers.arch in known.LOADS_PREDICTION else numbers.trunk
    for info in infos:
        role, layer = role_and_layer(info.name, numbers.arch, numbers.layers)
        yield Tensor(
            name=info.name,
            role=role,
            layer=layer,
            bytes=info.bytes,
            type=TYPES[info.type].name,
            elements=info.elements,
            mirrored=is_rope(info.name) or (mirrors_embeddings and info.name == "token_embd.weight"),
            unused=is_never_loaded(info.name) or (layer is not None and loaded <= layer < numbers.blocks),
        )
