"""GGUF files with random weights: real shapes, real block formats, finite logits, nothing sensible to say.

They load, run and take time and memory like any model of their size, and need no download. Large ones can be sparse:
feed-forward parts and experts are then holes, zeros of which the disk holds nothing, and all that decides what is
computed (embeddings, attention, routers, norms) is random as ever. Zeros in MXFP4 are denormal numbers, on which a CPU
crawls, so that its blocks are always written.

    python -m scripts.synthetic.random_weights --out /tmp/weights dense moe --quant Q4_K_M
    python -m scripts.synthetic.random_weights --out /tmp/weights mistral-small-24b --sparse
"""

import argparse
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice, product
from pathlib import Path
from string import ascii_lowercase

import numpy as np

from models.headers.gguf import aligned
from models.headers.gguf_bytes import STRING
from models.headers.quants import TYPES
from runner.types.varied import varied
from scripts.synthetic.geometries import gemma3, glm4_moe, qwen35, step35
from scripts.synthetic.geometry import Attention, Dense, Geometry, base, collect, experts, ffn, moe, vectors
from scripts.synthetic.headers import ALIGNMENT, Entry, entries, header_bytes, metadata
from scripts.synthetic.mixes import MIXES, Named
from scripts.synthetic.random_blocks import FILLS
from scripts.synthetic.timed import TIMED
from scripts.synthetic.typed import I32, U32, Typed

_POOL = 8 << 20  # bytes of random blocks that are written over and over
_LARGE = re.compile(r"\.ffn_(gate|up|down)(_exps|_shexp)?\.weight$")


@dataclass(frozen=True, slots=True)
class Size:
    """A model's measures; with `experts` each of them is `width` wide and an eighth of them used."""

    embd: int
    layers: int
    width: int
    vocabulary: int
    experts: int = 0


def geometry(title: str, size: Size, attention: Attention) -> Geometry:
    """A model built like Llama, or like Mixtral if it has experts."""

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, size.embd, "attn_norm", "ffn_norm")
        yield from attention.tensors(i, size.embd)
        if size.experts:
            yield from experts(i, size.embd, size.width, size.experts)
        else:
            yield from ffn(i, size.embd, size.width)

    settings = {**base(size.embd, size.layers, 32768, size.width), **attention.settings()}
    settings |= {"rope.freq_base": 5e5, "rope.dimension_count": attention.head}
    settings |= moe(size.experts, size.experts // 8) if size.experts else {}
    return Geometry(title, "llama", settings, collect(size.embd, size.layers, size.vocabulary, block), size.vocabulary)


def short_convolutions(title: str, size: Size, attention: Attention) -> Geometry:
    """A model built like LFM2: two layers with a recurrent state, a short convolution, then one with attention."""

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, size.embd, "attn_norm", "ffn_norm")
        yield from ffn(i, size.embd, size.width)
        if kv_heads[i]:
            yield from vectors(i, attention.head, "attn_q_norm", "attn_k_norm")
            yield from attention.tensors(i, size.embd)
        else:
            yield f"blk.{i}.shortconv.conv.weight", (3, size.embd)
            yield f"blk.{i}.shortconv.in_proj.weight", (size.embd, 3 * size.embd)
            yield f"blk.{i}.shortconv.out_proj.weight", (size.embd, size.embd)

    kv_heads = [attention.kv_heads if i % 3 == 2 else 0 for i in range(size.layers)]
    settings = {**base(size.embd, size.layers, 32768, size.width), **attention.settings()}
    settings |= {"attention.head_count_kv": kv_heads, "shortconv.l_cache": 3, "rope.freq_base": 1e6}
    tensors = collect(size.embd, size.layers, size.vocabulary, block, tied=True)
    # Converters write the last norm under this name.
    named = tuple(("token_embd_norm.weight" if name == "output_norm.weight" else name, dims) for name, dims in tensors)
    return Geometry(title, "lfm2", settings, named, size.vocabulary)


def _with_window(window: int) -> Geometry:
    """A small model built like Gemma 3."""
    like = gemma3("tiny-window", Dense(256, 6, Attention(4, 2, 64), 512, 512, tied=True))
    return replace(like, settings={**like.settings, "attention.sliding_window": window})


GEOMETRIES: Mapping[str, Geometry] = {
    # The layers of an 8B model, half as many of them: 2.3 GB as Q4_K_M.
    "dense": geometry("dense-4b", Size(4096, 16, 14336, 32000), Attention(32, 8)),
    # Narrow experts as in today's mixtures, a tenth of the weights read per token: 4.4 GB as Q4_K_M.
    "moe": geometry("moe-7b", Size(2048, 14, 1280, 32000, experts=64), Attention(16, 4)),
    "tiny-dense": geometry("tiny-dense", Size(256, 4, 768, 512), Attention(4, 2, 64)),
    "tiny-moe": geometry("tiny-moe", Size(256, 4, 256, 512, experts=16), Attention(4, 2, 64)),
    "tiny-window": _with_window(512),
    "tiny-hybrid": short_convolutions("tiny-hybrid", Size(256, 6, 512, 512), Attention(4, 2, 64)),
    "tiny-glm": glm4_moe("tiny-glm", Dense(256, 4, Attention(4, 2, 64), 512, 512), 128, 16, 32),
    "tiny-qwen35": qwen35("tiny-qwen35", Dense(256, 4, Attention(4, 2, 64), 512, 512)),
    "tiny-step35": step35("tiny-step35", Dense(256, 4, Attention(4, 2, 64), 512, 512), heads=3, window=128),
    **TIMED,
}


def header(geometry: Geometry, quant: str, further: Mapping[str, Typed] | None = None) -> bytes:
    """Everything before the weights, with `further` keys."""
    kv = {**metadata(geometry, quant, "none"), **_tokenizer(geometry.vocabulary), **(further or {})}
    return header_bytes(kv, entries(geometry, quant))


def write(
    path: Path,
    geometry: Geometry,
    quant: str,
    seed: int = 1,
    *,
    sparse: bool = False,
    further: Mapping[str, Typed] | None = None,
) -> Path:
    """The file, unless one of its size is there already, with `further` keys. `sparse` leaves holes, see above."""
    head, table = header(geometry, quant, further), entries(geometry, quant)
    size = len(head) + sum(aligned(entry.bytes, ALIGNMENT) for entry in table)
    if path.exists() and path.stat().st_size == size:
        return path
    pools: dict[tuple[int, int, int | None], memoryview] = {}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(head)
        for entry in table:
            if sparse and _may_be_zero(entry):
                file.seek(aligned(entry.bytes, ALIGNMENT), 1)
                continue
            if _kind(entry) not in pools:
                pools[_kind(entry)] = values_of(entry, seed)
            for part in padded(entry, pools[_kind(entry)]):
                file.write(part)
        file.truncate(size)
    return path


def _may_be_zero(entry: Entry) -> bool:
    return bool(_LARGE.search(entry.name)) and TYPES[entry.type].name != "MXFP4"


def _kind(entry: Entry) -> tuple[int, int, int | None]:
    """Equal for tensors that may hold the same bytes."""
    return entry.type, entry.dims[0], _constant(entry)


def _constant(entry: Entry) -> int | None:
    """The value of all numbers of a tensor: ones for norms, no biases, and states that fade; None for random ones."""
    if entry.name.endswith(".bias"):
        return 0
    if len(entry.dims) > 1:
        return None
    return -1 if entry.name.endswith(".ssm_a") else 1


def padded(entry: Entry, pool: memoryview) -> Iterator[memoryview]:
    """The bytes of a tensor, those of the pool as often as it takes, with its padding."""
    for start in range(0, entry.bytes, len(pool)):
        yield pool[: entry.bytes - start]
    yield memoryview(bytes(aligned(entry.bytes, ALIGNMENT) - entry.bytes))


def values_of(entry: Entry, seed: int) -> memoryview:
    """Random blocks whose values deviate by 1/sqrt(row length), so that no product grows; ones for norms, no biases."""
    kind = TYPES[entry.type]
    rng = np.random.default_rng(seed)
    row = entry.dims[0]
    if (constant := _constant(entry)) is not None:
        return memoryview(np.full(row, constant, np.float32).tobytes())
    size = min(entry.bytes, _POOL // kind.block_bytes * kind.block_bytes)
    return memoryview(FILLS[kind.name](rng, size // kind.block_bytes * kind.block, row**-0.5).tobytes())


# ---- what they read


def prompt(vocabulary: int, tokens: int, seed: int = 1) -> str:
    """A text of so many tokens for a model of this vocabulary, up to 18,000 different ones."""
    return varied(tokens, _words(vocabulary), seed)


def _words(vocabulary: int) -> list[str]:
    """Words of one to three letters, each a token with the space before it, as many as leave room for other tokens."""
    words = ("".join(letters) for length in (1, 2, 3) for letters in product(ascii_lowercase, repeat=length))
    return [*islice(words, vocabulary - 2 - len(_known()))]


def _known() -> list[str]:
    """Single bytes, as GPT-2's tokenizer writes them, and what makes one token of "The"."""
    return [*(chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 324))), "Th", "The"]


@cache
def _tokenizer(vocabulary: int) -> dict[str, Typed]:
    """Bytes and words; what is left of the vocabulary is in no text."""
    known, words = _known(), _words(vocabulary)
    others = [f"<word{number}>" for number in range(vocabulary - len(known) - len(words) - 1)]
    merges = [f"Ġ{word[:-1]} {word[-1]}" for word in words]
    return {
        "tokenizer.ggml.model": Typed(STRING, "gpt2"),
        "tokenizer.ggml.pre": Typed(STRING, "gpt-2"),
        "tokenizer.ggml.tokens": Typed(STRING, [*known, *(f"Ġ{word}" for word in words), *others, "<|end|>"]),
        "tokenizer.ggml.token_type": Typed(I32, [1] * (vocabulary - 1) + [3]),
        "tokenizer.ggml.merges": Typed(STRING, [*merges, "T h", "Th e"]),
        "tokenizer.ggml.eos_token_id": Typed(U32, vocabulary - 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", choices=GEOMETRIES, metavar="MODEL", help=f"of: {', '.join(GEOMETRIES)}")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--quant", choices=MIXES, default="Q4_K_M")
    parser.add_argument("--sparse", action="store_true", help="holes where weights do not decide what is computed")
    options = parser.parse_args()
    for name in options.models:
        model = GEOMETRIES[name]
        path = write(options.out / f"{model.title}-{options.quant}.gguf", model, options.quant, sparse=options.sparse)
        print(f"{path.stat().st_size / 1e9:8.3f} GB  {path}")


if __name__ == "__main__":
    main()
