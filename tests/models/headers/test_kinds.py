"""What a file is, by its header alone."""

import pytest

from models.headers.gguf import Value
from models.headers.gguf_bytes import STRING
from models.headers.kinds import FileKind, kind_by_keys, kind_of
from scripts.synthetic.headers import Entry
from scripts.synthetic.mixes import NUMBERS
from scripts.synthetic.typed import U32, Typed
from tests.support.headers import EMBEDDING, header_of


def block(layer: int, name: str = "attn_q.weight") -> Entry:
    return Entry(f"blk.{layer}.{name}", (256, 256), NUMBERS["F16"])


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ({"general.architecture": "llama"}, FileKind.CHAT),
        ({"general.architecture": "llama", "general.type": "model"}, FileKind.CHAT),
        ({"general.architecture": "llama", "general.type": 7}, FileKind.CHAT),
        ({"general.architecture": "llama", "general.type": "adapter"}, FileKind.ADAPTER),
        ({"general.architecture": "clip", "general.type": "mmproj"}, FileKind.PROJECTOR),
        ({"general.architecture": "clip"}, FileKind.PROJECTOR),
        ({"general.type": "imatrix"}, FileKind.IMATRIX),
        ({"general.type": "vocab", "general.architecture": "llama"}, FileKind.VOCABULARY),
        ({"general.architecture": "eagle3"}, FileKind.DRAFT),
        ({"general.architecture": "bert"}, FileKind.EMBEDDING),
        ({"general.architecture": "gemma-embedding"}, FileKind.EMBEDDING),
        ({"general.architecture": "qwen3", "qwen3.pooling_type": 3}, FileKind.EMBEDDING),
        ({"general.architecture": "qwen3", "qwen3.pooling_type": 4}, FileKind.RERANKER),
        ({"general.architecture": "qwen3", "qwen3.pooling_type": 0}, FileKind.CHAT),
        ({"general.architecture": "t5"}, FileKind.ENCODER_DECODER),
        ({"general.architecture": "t5encoder"}, FileKind.ENCODER),
        ({"general.architecture": "dream"}, FileKind.DIFFUSION),
        ({"general.architecture": "qwen3tts"}, FileKind.SPEECH),
        ({"general.architecture": "llama", "tokenizer.ggml.model": "none"}, FileKind.WORDLESS),
        ({"general.architecture": "llama", "tokenizer.ggml.model": "gpt2"}, FileKind.CHAT),
        ({}, FileKind.CHAT),
    ],
)
def test_by_its_keys(keys: dict[str, Value], kind: FileKind) -> None:
    assert kind_by_keys(keys) is kind


@pytest.mark.parametrize(
    ("further", "tensors", "kind"),
    [
        (0, [EMBEDDING, block(0), block(1)], FileKind.CHAT),
        (1, [EMBEDDING, block(0), block(1)], FileKind.CHAT),
        (1, [EMBEDDING, block(1)], FileKind.DRAFT),
        (1, [EMBEDDING], FileKind.CHAT),
        (0, [EMBEDDING, block(1)], FileKind.CHAT),
        (0, [block(0, "attn_q.weight.lora_a"), block(0, "attn_q.weight.lora_b")], FileKind.ADAPTER),
        (0, [], FileKind.VOCABULARY),
        (0, [EMBEDDING, block(0), block(1), Entry("v.patch_embd.weight", (256, 256), NUMBERS["F16"])], FileKind.MERGED),
        (0, [EMBEDDING, block(0), block(1), Entry("mm.0.weight", (256, 256), NUMBERS["F16"])], FileKind.MERGED),
    ],
)
def test_by_its_tensors(further: int, tensors: list[Entry], kind: FileKind) -> None:
    header = header_of("llama", {"nextn_predict_layers": further}, tensors)
    assert kind_of([header]) is kind


def test_the_tensors_of_all_shards_count() -> None:
    first = header_of("llama", tensors=[])
    assert kind_of([first, header_of("llama", tensors=[EMBEDDING])]) is FileKind.CHAT


def test_what_a_type_says_goes_before_everything_else() -> None:
    kinds = {"general.type": Typed(STRING, "adapter"), "llama.pooling_type": Typed(U32, 3)}
    assert kind_of([header_of("llama", extra=kinds)]) is FileKind.ADAPTER
