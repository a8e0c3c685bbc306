"""GGUF files with random weights: real shapes, real block formats, finite logits, nothing sensible to say.

They load, run and take time and memory like any model of their size, and need no download.

    python -m scripts.synthetic.random_weights --out /tmp/weights dense moe --quant Q4_K_M
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import UsageError
from models.headers.gguf import padded
from models.headers.gguf_bytes import STRING
from models.headers.quants import TYPES
from scripts.synthetic.geometry import Attention, Geometry, base, collect, experts, ffn, moe, vectors
from scripts.synthetic.headers import ALIGNMENT, Entry, entries, header_bytes, metadata
from scripts.synthetic.mixes import QUANTS, Named
from scripts.synthetic.typed import I32, U32, Typed

_POOL = 8 << 20  # bytes of random blocks that are written over and over
_Bytes = NDArray[np.uint8]
_Fill = Callable[[np.random.Generator, int, float], _Bytes]  # (source, number of values, their deviation)


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


GEOMETRIES: Mapping[str, Geometry] = {
    # The layers of an 8B model, half as many of them: 2.3 GB as Q4_K_M.
    "dense": geometry("dense-4b", Size(4096, 16, 14336, 32000), Attention(32, 8)),
    # Narrow experts as in today's mixtures, a tenth of the weights read per token: 4.4 GB as Q4_K_M.
    "moe": geometry("moe-7b", Size(2048, 14, 1280, 32000, experts=64), Attention(16, 4)),
    "tiny-dense": geometry("tiny-dense", Size(256, 4, 768, 512), Attention(4, 2, 64)),
    "tiny-moe": geometry("tiny-moe", Size(256, 4, 256, 512, experts=16), Attention(4, 2, 64)),
}


def header(geometry: Geometry, quant: str) -> bytes:
    """Everything before the weights."""
    kv = {**metadata(geometry, quant, "none"), **_tokenizer(geometry.vocabulary)}
    return header_bytes(kv, entries(geometry, quant))


def write(path: Path, geometry: Geometry, quant: str, seed: int = 1) -> Path:
    """The file, unless one of its size is there already. UsageError for a quantization without a random block."""
    head, table = header(geometry, quant), entries(geometry, quant)
    if path.exists() and path.stat().st_size == len(head) + sum(padded(entry.bytes, ALIGNMENT) for entry in table):
        return path
    pools = {_kind(entry): _pool(entry, seed) for entry in table}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(head)
        for entry in table:
            for part in _data(entry, pools[_kind(entry)]):
                file.write(part)
    return path


def _kind(entry: Entry) -> tuple[int, int, bool]:
    """Equal for tensors that may hold the same bytes."""
    return entry.type, entry.dims[0], len(entry.dims) == 1


def _data(entry: Entry, pool: memoryview) -> Iterator[memoryview]:
    """The bytes of a tensor with its padding."""
    for start in range(0, entry.bytes, len(pool)):
        yield pool[: entry.bytes - start]
    yield memoryview(bytes(padded(entry.bytes, ALIGNMENT) - entry.bytes))


def _pool(entry: Entry, seed: int) -> memoryview:
    """Random blocks whose values deviate by 1/sqrt(row length), so that no product grows; ones for norms."""
    kind = TYPES[entry.type]
    rng = np.random.default_rng(seed)
    row = entry.dims[0]
    if len(entry.dims) == 1:
        return memoryview(np.ones(row, np.float32).tobytes())
    if kind.name not in _FILLS:
        raise UsageError(f"There are no random blocks for {kind.name}, only for {', '.join(_FILLS)}.")
    size = min(entry.bytes, _POOL // kind.block_bytes * kind.block_bytes)
    return memoryview(_FILLS[kind.name](rng, size // kind.block_bytes * kind.block, row**-0.5).tobytes())


def _floats(kind: type[np.floating]) -> _Fill:
    return lambda rng, values, deviation: (rng.standard_normal(values) * deviation).astype(kind).view(np.uint8)


def _blocks(name: str, unit: float, scales: Mapping[int, float]) -> _Fill:
    """Random bits but for the float16 `scales`: multiples of d by offset. `unit`: the deviation of values at d = 1."""
    kind = next(kind for kind in TYPES.values() if kind.name == name)

    def fill(rng: np.random.Generator, values: int, deviation: float) -> _Bytes:
        blocks = rng.integers(0, 256, (values // kind.block, kind.block_bytes), np.uint8)
        for offset, factor in scales.items():
            scale = np.array([factor * deviation / unit], np.float16)
            blocks[:, offset : offset + 2] = scale.view(np.uint8)
        return blocks

    return fill


# Layouts from ggml-common.h. Where a block has a minimum beside its scale, it is set so that values are even around 0:
# Q4_K is d * (6 bits) * (4 bits) - dmin * (6 bits) with dmin = 7.5 d.
_FILLS: Mapping[str, _Fill] = {
    "F32": _floats(np.float32),
    "F16": _floats(np.float16),
    "Q4_0": _blocks("Q4_0", 4.6, {0: 1}),
    "Q8_0": _blocks("Q8_0", 73.9, {0: 1}),
    "Q4_K": _blocks("Q4_K", 258, {0: 1, 2: 7.5}),
    "Q5_K": _blocks("Q5_K", 527, {0: 1, 2: 15.5}),
    "Q6_K": _blocks("Q6_K", 1366, {208: 1}),
}


@cache
def _tokenizer(vocabulary: int) -> dict[str, Typed]:
    """Single bytes, and what makes "The a a a" one token a word; the rest are words that no text has."""
    letters = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 324))]
    known = [*letters, "Ġa", "Th", "The"]
    words = [f"<word{number}>" for number in range(vocabulary - len(known) - 1)]
    return {
        "tokenizer.ggml.model": Typed(STRING, "gpt2"),
        "tokenizer.ggml.pre": Typed(STRING, "gpt-2"),
        "tokenizer.ggml.tokens": Typed(STRING, [*known, *words, "<|end|>"]),
        "tokenizer.ggml.token_type": Typed(I32, [1] * (vocabulary - 1) + [3]),
        "tokenizer.ggml.merges": Typed(STRING, ["Ġ a", "T h", "Th e"]),
        "tokenizer.ggml.eos_token_id": Typed(U32, vocabulary - 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", choices=GEOMETRIES, metavar="MODEL", help=f"of: {', '.join(GEOMETRIES)}")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--quant", choices=QUANTS, default="Q4_K_M")
    options = parser.parse_args()
    for name in options.models:
        model = GEOMETRIES[name]
        path = write(options.out / f"{model.title}-{options.quant}.gguf", model, options.quant)
        print(f"{path.stat().st_size / 1e9:8.3f} GB  {path}")


if __name__ == "__main__":
    main()
