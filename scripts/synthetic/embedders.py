"""Small models with random weights that make vectors of texts or rank them: one of each kind that llama.cpp knows.

python -m scripts.synthetic.embedders --out /tmp/weights bert qwen3-embedding
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from models.headers.gguf_bytes import BOOL, STRING
from scripts.synthetic.geometry import Attention, Geometry, Setting, base, collect, ffn, vectors
from scripts.synthetic.headers import entries, header_bytes, metadata
from scripts.synthetic.mixes import NUMBERS, Named
from scripts.synthetic.random_weights import padded, values_of
from scripts.synthetic.typed import I32, U32, Typed

EMBD, WIDTH, LAYERS, VOCABULARY = 128, 256, 2, 512
_MEAN, _CLS, _LAST, _RANK = 1, 2, 3, 4
_NORMAL, _CONTROL = 1, 3
RERANK_TEMPLATE = "<|start|>Judge.\n<Query>: {query}\n<Document>: {document}<|end|>answer:"


@dataclass(frozen=True, slots=True)
class Embedder:
    """A model: its shape, the keys of its tokenizer, and further keys."""

    geometry: Geometry
    tokenizer: Mapping[str, Typed]
    extra: Mapping[str, Typed] = field(default_factory=dict)


# ---- tokenizers


@cache
def _wordpiece() -> Mapping[str, Typed]:
    """Letters, at the start of a word and within."""
    letters = [chr(code) for code in range(33, 127)]
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"▁{letter}" for letter in letters), *letters]
    words = [f"▁word{number}" for number in range(VOCABULARY - len(known))]
    marks = {"bos": 2, "eos": 3, "unknown": 1, "seperator": 3, "padding": 0, "cls": 2, "mask": 4}
    return {
        "tokenizer.ggml.model": Typed(STRING, "bert"),
        "tokenizer.ggml.tokens": Typed(STRING, [*known, *words]),
        "tokenizer.ggml.token_type": Typed(I32, [_CONTROL] * 5 + [_NORMAL] * (VOCABULARY - 5)),
        "tokenizer.ggml.token_type_count": Typed(U32, 2),
        **{f"tokenizer.ggml.{name}_token_id": Typed(U32, number) for name, number in marks.items()},
    }


@cache
def _bytes(*, begins: bool, ends: bool) -> Mapping[str, Typed]:
    """Bytes as GPT-2 writes them, and a start and an end token, which the model wants around a text or not."""
    known = [*(chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 324))), "Ġa"]
    words = [f"<word{number}>" for number in range(VOCABULARY - len(known) - 2)]
    return {
        "tokenizer.ggml.model": Typed(STRING, "gpt2"),
        "tokenizer.ggml.pre": Typed(STRING, "gpt-2"),
        "tokenizer.ggml.tokens": Typed(STRING, [*known, *words, "<|start|>", "<|end|>"]),
        "tokenizer.ggml.token_type": Typed(I32, [_NORMAL] * (VOCABULARY - 2) + [_CONTROL] * 2),
        "tokenizer.ggml.merges": Typed(STRING, ["Ġ a"]),
        "tokenizer.ggml.token_type_count": Typed(U32, 2),
        "tokenizer.ggml.bos_token_id": Typed(U32, VOCABULARY - 2),
        "tokenizer.ggml.eos_token_id": Typed(U32, VOCABULARY - 1),
        "tokenizer.ggml.seperator_token_id": Typed(U32, VOCABULARY - 1),
        "tokenizer.ggml.add_bos_token": Typed(BOOL, begins),
        "tokenizer.ggml.add_eos_token": Typed(BOOL, ends),
        "tokenizer.ggml.add_sep_token": Typed(BOOL, begins),
    }


# ---- encoders


def _encoder(arch: str, pooling: int, *further: Named, context: int = 512, gated: bool = False) -> Geometry:
    """BERT and its kin: norms behind each part, biases where the architecture wants them."""
    attention = Attention(4, 4, EMBD // 4)

    def block(i: int) -> Iterator[Named]:
        yield from attention.tensors(i, EMBD)
        yield from vectors(i, EMBD, "attn_output_norm", "layer_output_norm")
        yield from ((f"blk.{i}.{name}.bias", (EMBD,)) for name in ("attn_output_norm", "layer_output_norm"))
        parts = [("up", (EMBD, WIDTH)), ("down", (WIDTH, EMBD)), *([("gate", (EMBD, WIDTH))] if gated else [])]
        yield from ((f"blk.{i}.ffn_{name}.weight", dims) for name, dims in parts)
        if arch != "nomic-bert":
            yield f"blk.{i}.attn_output.bias", (EMBD,)
            yield f"blk.{i}.ffn_down.bias", (EMBD,)

    tensors = [one for one in collect(EMBD, LAYERS, VOCABULARY, block, tied=True) if one[0] != "output_norm.weight"]
    tensors += [
        ("token_embd_norm.weight", (EMBD,)),
        ("token_embd_norm.bias", (EMBD,)),
        ("token_types.weight", (EMBD, 2)),
    ]
    if arch == "bert":
        tensors.append(("position_embd.weight", (EMBD, context)))
    settings = {**base(EMBD, LAYERS, context, WIDTH), **attention.settings(), "pooling_type": pooling}
    settings |= {"attention.causal": False, "attention.layer_norm_epsilon": 1e-5, "rope.freq_base": 1e3}
    return Geometry(f"tiny-{arch}", arch, settings, (*tensors, *further), VOCABULARY)


# ---- decoders


def _decoder(pooling: int, *further: Named, context: int = 4096) -> Geometry:
    """Qwen3."""
    attention = Attention(4, 2, 64)

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, EMBD, "attn_norm", "ffn_norm")
        yield from vectors(i, attention.head, "attn_q_norm", "attn_k_norm")
        yield from attention.tensors(i, EMBD)
        yield from ffn(i, EMBD, WIDTH)

    settings: dict[str, Setting] = {**base(EMBD, LAYERS, context, WIDTH), **attention.settings()}
    settings |= {"rope.freq_base": 1e6, "rope.dimension_count": attention.head, "pooling_type": pooling}
    tensors = collect(EMBD, LAYERS, VOCABULARY, block, tied=True)
    return Geometry("tiny-qwen3", "qwen3", settings, (*tensors, *further), VOCABULARY)


_LABELS = {
    "qwen3.classifier.output_labels": Typed(STRING, ["yes", "no"]),
    "tokenizer.chat_template.rerank": Typed(STRING, RERANK_TEMPLATE),
}
_HEAD: tuple[Named, ...] = (("cls.weight", (EMBD, EMBD)), ("cls.output.weight", (EMBD, 1)))

EMBEDDERS: Mapping[str, Embedder] = {
    "bert": Embedder(_encoder("bert", _CLS), _wordpiece()),
    "nomic-bert": Embedder(_encoder("nomic-bert", _MEAN, context=2048, gated=True), _wordpiece()),
    "qwen3-embedding": Embedder(_decoder(_LAST), _bytes(begins=False, ends=True)),
    "bert-reranker": Embedder(_encoder("bert", _RANK, *_HEAD), _bytes(begins=True, ends=True)),
    "bert-headless": Embedder(_encoder("bert", _RANK), _wordpiece()),
    "qwen3-reranker": Embedder(
        _decoder(_RANK, ("cls.output.weight", (EMBD, 2))), _bytes(begins=False, ends=False), _LABELS
    ),
}


def write(path: Path, name: str, *, without: tuple[str, ...] = (), quant: str = "F16") -> Path:
    """The file of one of EMBEDDERS, `without` these keys; F32 is every tensor as it is computed with."""
    one, stored = EMBEDDERS[name], "F16" if quant == "F32" else quant
    table = entries(one.geometry, stored)
    if quant == "F32":
        table = tuple(replace(entry, type=NUMBERS["F32"]) for entry in table)
    kv = {**metadata(one.geometry, stored, "none"), **one.tokenizer, **one.extra}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(header_bytes({key: kv[key] for key in kv if key not in without}, table))
        for seed, entry in enumerate(table):  # alike, they would all look at themselves alone
            file.writelines(padded(entry, values_of(entry, seed)))
    return path


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", choices=EMBEDDERS, metavar="MODEL", help=f"of: {', '.join(EMBEDDERS)}")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args()
    for name in options.models:
        print(write(options.out / f"{name}-F16.gguf", name))


if __name__ == "__main__":
    main()
