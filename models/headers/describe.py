"""What a header says, in people's words. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from models.headers.gguf import Header
from models.headers.quants import quality
from models.headers.recommended import Recommended, recommended, unsupported
from models.headers.shape import ModelShape
from models.weights import WeightSet

CHAT_TEMPLATE = "tokenizer.chat_template"
"""The key of a model's chat template, which not every file has."""
_F16_BYTES = 2


@dataclass(frozen=True, slots=True)
class RoleBytes:
    """All tensors of one role: bytes, and mean bits per weight."""

    role: str
    bytes: int
    bits_per_weight: float


@dataclass(frozen=True, slots=True)
class Description:
    """One set of weights. `kv_bytes_per_1000` counts f16 caches before any window is full; `state_bytes` is fixed.

    `quality_loss` is a mean KL divergence (see `quants.Quality`). `template`: whether a chat template is inside.
    `recommended` is the sampling that its maker wants; `unsupported` names settings of the header that nobody applies.
    `heads` of its own predict further tokens; `drafter`: a small model of the catalog that can guess for it.
    """

    quant: str
    files: tuple[str, ...]
    file_bytes: int
    is_here: bool
    arch: str
    name: str
    parameters: int
    layers: int
    experts: int
    experts_used: int
    context_trained: int
    vocabulary: int
    bits_per_weight: float
    roles: tuple[RoleBytes, ...]
    kv_bytes_per_1000: int
    state_bytes: int
    windowed_layers: int
    template: bool
    licence: str | None
    quality_loss: float
    quality_source: str
    recommended: tuple[Recommended, ...]
    unsupported: tuple[str, ...]
    heads: int = 0
    drafter: str | None = None


def describe(weights: WeightSet, headers: Sequence[Header], shape: ModelShape, licence: str | None) -> Description:
    """A set of weights by its headers; the file's own licence counts before the repository's."""
    kv = headers[0].kv
    own = kv.get("general.license")
    judged = quality(weights.quant, shape.bits_per_weight)
    return Description(
        quant=weights.quant,
        files=tuple(file.name for file in weights.files),
        file_bytes=weights.bytes,
        is_here=weights.is_here,
        arch=shape.arch,
        name=shape.name,
        parameters=shape.parameters,
        layers=shape.layers,
        experts=shape.experts,
        experts_used=shape.experts_used,
        context_trained=shape.context_trained,
        vocabulary=shape.vocabulary,
        bits_per_weight=shape.bits_per_weight,
        roles=_roles(shape),
        kv_bytes_per_1000=1000 * _F16_BYTES * sum(layer.k_width + layer.v_width for layer in shape.memory),
        state_bytes=4 * sum(layer.state_values for layer in shape.memory),
        windowed_layers=sum(layer.window > 0 for layer in shape.memory),
        template=CHAT_TEMPLATE in kv,
        licence=own if isinstance(own, str) else licence,
        quality_loss=judged.loss,
        quality_source=judged.source,
        recommended=recommended(kv, (weights.files[0].name,)),
        unsupported=unsupported(kv),
        heads=len(shape.heads),
    )


def _roles(shape: ModelShape) -> tuple[RoleBytes, ...]:
    """Largest first."""
    sizes: dict[str, int] = defaultdict(int)
    counts: dict[str, int] = defaultdict(int)
    for tensor in shape.tensors:
        sizes[tensor.role] += tensor.bytes
        counts[tensor.role] += tensor.elements
    found = [RoleBytes(str(role), size, 8 * size / max(1, counts[role])) for role, size in sizes.items()]
    return tuple(sorted(found, key=lambda one: -one.bytes))


def quality_word(loss: float) -> str:
    """A mean KL divergence as a word."""
    return next((word for limit, word in _WORDS if loss < limit), "broken")


# Where a reader of llama.cpp's perplexity tables would draw the lines; Q8_0, Q6_K, Q5, Q4, Q3, IQ2 and IQ1 lie apart.
_WORDS = (
    (0.0005, "original"),
    (0.008, "lossless"),
    (0.02, "excellent"),
    (0.06, "very good"),
    (0.15, "good"),
    (0.35, "fair"),
    (1.0, "poor"),
)
