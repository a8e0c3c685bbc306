"""What a file is, by its header alone."""

import pytest

from models.headers.gguf import Value
from models.headers.gguf_bytes import STRING
from models.headers.kinds import Kind, kind_by_keys, kind_of
from scripts.synthetic.headers import Entry
from scripts.synthetic.mixes import NUMBERS
from scripts.synthetic.typed import U32, Typed
from tests.support.headers import EMBEDDING, header_of


def block(layer: int, name: str = "attn_q.weight") -> Entry:
    return Entry(f"blk.{layer}.{name}", (256, 256), NUMBERS["F16"])


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ({"general.architecture": "llama"}, Kind.CHAT),
        ({"general.architecture": "llama", "general.type": "model"}, Kind.CHAT),
        ({"general.architecture": "llama", "general.type": 7}, Kind.CHAT),
        ({"general.architecture": "llama", "general.type": "adapter"}, Kind.ADAPTER),
        ({"general.architecture": "clip", "general.type": "mmproj"}, Kind.PROJECTOR),
        ({"general.architecture": "clip"}, Kind.PROJECTOR),
        ({"general.type": "imatrix"}, Kind.IMATRIX),
        ({"general.type": "vocab", "general.architecture": "llama"}, Kind.VOCABULARY),
        ({"general.architecture": "eagle3"}, Kind.DRAFT),
        ({"general.architecture": "bert"}, Kind.EMBEDDING),
        ({"general.architecture": "gemma-embedding"}, Kind.EMBEDDING),
        ({"general.architecture": "qwen3", "qwen3.pooling_type": 3}, Kind.EMBEDDING),
        ({"general.architecture": "qwen3", "qwen3.pooling_type": 4}, Kind.RERANKER),
        ({"general.architecture": "qwen3", "qwen3.pooling_type": 0}, Kind.CHAT),
        ({"general.architecture": "t5"}, Kind.ENCODER_DECODER),
        ({"general.architecture": "t5encoder"}, Kind.ENCODER),
        ({"general.architecture": "dream"}, Kind.DIFFUSION),
        ({"general.architecture": "qwen3tts"}, Kind.SPEECH),
        ({"general.architecture": "llama", "tokenizer.ggml.model": "none"}, Kind.WORDLESS),
        ({"general.architecture": "llama", "tokenizer.ggml.model": "gpt2"}, Kind.CHAT),
        ({}, Kind.CHAT),
    ],
)
def test_by_its_keys(keys: dict[str, Value], kind: Kind) -> None:
    assert kind_by_keys(keys) is kind


@pytest.mark.parametrize(
    ("further", "tensors", "kind"),
    [
        (0, [EMBEDDING, block(0), block(1)], Kind.CHAT),
        (1, [EMBEDDING, block(0), block(1)], Kind.CHAT),
        (1, [EMBEDDING, block(1)], Kind.DRAFT),
        (1, [EMBEDDING], Kind.CHAT),
        (0, [EMBEDDING, block(1)], Kind.CHAT),
        (0, [block(0, "attn_q.weight.lora_a"), block(0, "attn_q.weight.lora_b")], Kind.ADAPTER),
        (0, [], Kind.VOCABULARY),
    ],
)
def test_by_its_tensors(further: int, tensors: list[Entry], kind: Kind) -> None:
    header = header_of("llama", {"nextn_predict_layers": further}, tensors)
    assert kind_of([header]) is kind


def test_the_tensors_of_all_shards_count() -> None:
    first = header_of("llama", tensors=[])
    assert kind_of([first, header_of("llama", tensors=[EMBEDDING])]) is Kind.CHAT


def test_what_a_type_says_goes_before_everything_else() -> None:
    kinds = {"general.type": Typed(STRING, "adapter"), "llama.pooling_type": Typed(U32, 3)}
    assert kind_of([header_of("llama", extra=kinds)]) is Kind.ADAPTER
