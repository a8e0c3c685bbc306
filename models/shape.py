"""A header in the planner's words: bytes by tensor and role, and what every layer keeps per token. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a tensor is for."""

    EMBEDDING = "embedding"
    ATTENTION = "attention"
    FFN = "ffn"
    EXPERT = "expert"
    SHARED_EXPERT = "shared expert"
    OUTPUT = "output"
    NORM = "norm"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor.

    `layer` is None for the input (always on the host), 0..layers-1 for a repeating layer, `layers` for the
    output layer. `bytes` is its size in the file. `mirrored` marks a tensor that llama.cpp creates once more on
    each device that needs it (tied embeddings on the output layer's device, rope factors on every device).
    `unused` marks what llama.cpp does not load (multi-token-prediction blocks).
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
class LayerMemory:
    """What one layer remembers.

    KV cells of `k_width` + `v_width` values each (n_head_kv x head length; 0 where the layer owns no cache),
    over `window` positions (0: the whole context). `state_values`: recurrent float32 values per sequence.
    """

    k_width: int
    v_width: int
    window: int = 0
    state_values: int = 0


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Everything the planner needs to know about one set of weights.

    `layers` counts the repeating layers; llama.cpp's layer count has the output layer on top. `embedding`,
    `feed_forward`, `expert_feed_forward` and `vocabulary` are widths in values. `kv_same_type` is true where K and V must
    have one type (MLA). `attention_width` is n_head x head length of K.
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
    tied_embeddings: bool
    kv_same_type: bool
    tensors: tuple[Tensor, ...]
    memory: tuple[LayerMemory, ...]

    @property
    def bytes(self) -> int:
        """Bytes of all tensors as stored."""
        return sum(tensor.bytes for tensor in self.tensors)

    @property
    def bits_per_weight(self) -> float:
        """Mean bits per parameter."""
        return 8 * self.bytes / max(1, self.parameters)
