"""What a GGUF file is, by its header and never by its name. Pure.

Source: GGUFType of llama.cpp's gguf-py, the keys of llama-arch.cpp, and `llama_vocab::impl::load`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from models.headers import architectures as known
from models.headers.gguf import Header, TensorInfo, Value
from models.headers.pooling import Pooling, pooling_of
from models.headers.roles import role_and_layer


class FileKind(StrEnum):
    """The value is the phrase for a sentence."""

    CHAT = "a model that answers prompts"
    PROJECTOR = "a projector for images or sound (mmproj)"
    ADAPTER = "a LoRA adapter"
    DRAFT = "a draft model, which only works beside another"
    IMATRIX = "an importance matrix"
    VOCABULARY = "a vocabulary without weights"
    EMBEDDING = "an embedding model"
    RERANKER = "a model that ranks texts"
    ENCODER = "an encoder"
    ENCODER_DECODER = "an encoder-decoder"
    DIFFUSION = "a model that denoises whole texts"
    SPEECH = "a model that speaks"
    WORDLESS = "a model without a vocabulary"
    MERGED = "a model and its projector in one file, as Ollama writes them, which llama.cpp does not load"

    @property
    def is_companion(self) -> bool:
        """Whether it is nothing without a model beside it."""
        return self in _COMPANIONS


_COMPANIONS = (FileKind.PROJECTOR, FileKind.ADAPTER, FileKind.DRAFT, FileKind.IMATRIX, FileKind.VOCABULARY)
_BY_TYPE = {
    "adapter": FileKind.ADAPTER,
    "mmproj": FileKind.PROJECTOR,
    "imatrix": FileKind.IMATRIX,
    "vocab": FileKind.VOCABULARY,
}
_BY_ARCHITECTURE = {
    **dict.fromkeys(known.WITHOUT_MEMORY, FileKind.DIFFUSION),
    **dict.fromkeys(known.ENCODERS | {"gemma-embedding", "llama-embed"}, FileKind.EMBEDDING),
    **dict.fromkeys(("wavtokenizer-dec", "qwen3tts", "pockettts"), FileKind.SPEECH),
    **dict.fromkeys(("eagle3", "dflash", "gemma4-assistant"), FileKind.DRAFT),
    "clip": FileKind.PROJECTOR,
    "t5": FileKind.ENCODER_DECODER,
    "t5encoder": FileKind.ENCODER,
}


# What tensors of projectors are called: v and a are encoders of images and sound, mm what leads from them to the model
# (gguf-py: MODEL_TENSOR.V_*, A_*), s and vision_tower Ollama's names beside these.
_OF_PROJECTORS = ("v.", "a.", "mm.", "s.", "model.vision_tower.")


def kind_of(headers: Sequence[Header]) -> FileKind:
    """What a file is, or all its shards together."""
    tensors = [tensor for header in headers for tensor in header.tensors]
    kv = headers[0].kv
    if any(tensor.name.endswith(".lora_a") for tensor in tensors):
        return FileKind.ADAPTER
    kind = kind_by_keys(kv)
    if kind.is_companion:
        return kind
    if not tensors:
        return FileKind.VOCABULARY
    if kind is FileKind.CHAT and any(tensor.name.startswith(_OF_PROJECTORS) for tensor in tensors):
        return FileKind.MERGED
    return FileKind.DRAFT if _only_predicts(kv, tensors) else kind


def kind_by_keys(kv: Mapping[str, Value]) -> FileKind:
    """The same as far as the keys in front of the vocabulary tell; a file with blocks for prediction may be a DRAFT."""
    if kind := _BY_TYPE.get(str(kv.get("general.type"))):
        return kind
    arch = kv.get("general.architecture")
    pooling, kind = pooling_of(kv), _BY_ARCHITECTURE.get(str(arch))
    if pooling is Pooling.RANK and kind in (None, FileKind.EMBEDDING):
        return FileKind.RERANKER
    if kind:
        return kind
    if pooling:
        return FileKind.EMBEDDING
    return FileKind.WORDLESS if kv.get("tokenizer.ggml.model") in ("none", "no_vocab") else FileKind.CHAT


def predicts(kv: Mapping[str, Value]) -> bool:
    """Whether some blocks of the file predict further tokens."""
    return bool(kv.get(f"{kv.get('general.architecture')}.nextn_predict_layers"))


def _only_predicts(kv: Mapping[str, Value], tensors: Iterable[TensorInfo]) -> bool:
    """Whether none of the blocks is of the model itself: they were taken out of a model to be used beside it."""
    arch = str(kv.get("general.architecture"))
    blocks, further = kv.get(f"{arch}.block_count"), kv.get(f"{arch}.nextn_predict_layers")
    if not isinstance(blocks, int) or not isinstance(further, int) or not 0 < further < blocks:
        return False
    layers = {role_and_layer(tensor.name, arch, blocks)[1] for tensor in tensors if tensor.name.startswith("blk.")}
    return bool(layers) and min(layer for layer in layers if layer is not None) >= blocks - further
