"""GGUF headers piece by piece, sound or not: what the writer would never write."""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import accumulate
from math import prod
from random import Random
from struct import pack
from typing import Any

from models.headers.gguf_bytes import ARRAY, FIXED, STRING, UINT32
from models.headers.quants import TYPES

SMALL = 8192
LARGE_VOCABULARY = 128_256
LARGE_MERGES = 280_147


def string(raw: bytes) -> bytes:
    """A length and its bytes."""
    return pack("<Q", len(raw)) + raw


def values(kind: int, items: Sequence[Any]) -> bytes:
    """Values of one type in a row; strings are bytes."""
    if kind == STRING:
        return b"".join(map(string, items))
    return pack(f"<{len(items)}{FIXED[kind]}", *items)


def pair(key: bytes, kind: int, value: Any) -> bytes:
    """A key with a single value."""
    return string(key) + pack("<I", kind) + values(kind, [value])


def array(key: bytes, kind: int, items: Sequence[Any]) -> bytes:
    """A key with an array."""
    return string(key) + pack("<IIQ", ARRAY, kind, len(items)) + values(kind, items)


def tensor(name: bytes, kind: int, dims: Sequence[int], offset: int) -> bytes:
    """One entry of the tensor table."""
    return string(name) + pack(f"<I{len(dims)}QiQ", len(dims), *dims, kind, offset)


def table(shapes: Iterable[tuple[bytes, int, Sequence[int]]], alignment: int = 32) -> list[bytes]:
    """Entries whose tensors lie one behind the other."""
    shapes = list(shapes)
    sizes = [-(-TYPES[kind].size(prod(dims)) // alignment) * alignment for _, kind, dims in shapes]
    offsets = accumulate(sizes, initial=0)
    return [tensor(name, kind, dims, offset) for (name, kind, dims), offset in zip(shapes, offsets, strict=False)]


def header(pairs: Sequence[bytes], tensors: Sequence[bytes], version: int = 3) -> bytes:
    """A header, without the padding behind it."""
    return b"GGUF" + pack("<IQQ", version, len(tensors), len(pairs)) + b"".join([*pairs, *tensors])


@cache
def small_headers() -> tuple[bytes, ...]:
    """Sound headers of at most SMALL bytes: all value types, long and short arrays, all tensor types."""
    return tuple(_small_header(Random(number)) for number in range(64))


def _small_header(rng: Random) -> bytes:
    pairs = [pair(b"general.architecture", STRING, b"llama"), pair(b"general.alignment", UINT32, 32)]
    for kind in [*FIXED, STRING]:
        item: bytes | int = rng.randbytes(rng.randint(0, 40)) if kind == STRING else 1
        pairs.append(pair(b"single.%d" % kind, kind, item))
        pairs.append(array(b"array.%d" % kind, kind, [item] * rng.randint(0, 9)))
    if rng.random() < 0.5:
        pairs.append(array(b"tokenizer.ggml.token_type", 0, bytes(5000)))
    types = [rng.choice(list(TYPES)) for _ in range(rng.randint(0, 90))]
    shapes = [(b"blk.%d.x" % n, kind, (256, 4)[: rng.randint(1, 2)]) for n, kind in enumerate(types)]
    rng.shuffle(pairs)
    whole = header(pairs, table(shapes), rng.choice((2, 3)))
    return whole if len(whole) <= SMALL else header(pairs[:9], table(shapes[:20]))


@cache
def large_headers() -> tuple[bytes, ...]:
    """One sound header with the tokenizer of a 128k vocabulary, 7 MB."""
    rng = Random(0)
    tokens = [b"t" * rng.randint(1, 14) for _ in range(LARGE_VOCABULARY)]
    merges = [b"m" * rng.randint(3, 13) for _ in range(LARGE_MERGES)]
    pairs = [
        pair(b"general.architecture", STRING, b"llama"),
        array(b"tokenizer.ggml.tokens", STRING, tokens),
        array(b"tokenizer.ggml.token_type", 5, [1] * LARGE_VOCABULARY),
        array(b"tokenizer.ggml.merges", STRING, merges),
        pair(b"tokenizer.chat_template", STRING, b"{{ messages }}" * 300),
    ]
    return (header(pairs, table((b"blk.%d.attn_q.weight" % n, 12, (8192, 1024)) for n in range(724))),)
