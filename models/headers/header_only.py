"""The header of a model without its tokenizer and without its weights: all that a rehearsal needs. Pure.

llama.cpp loads tokenizer `none` with a vocabulary size in a thirtieth of the time, and all shards as one file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.errors import BadFile
from models.headers.gguf import DEFAULT_ALIGNMENT, Array, Header, TensorInfo, Value
from models.headers.gguf_bytes import FIXED, STRING, UINT32


@dataclass(frozen=True, slots=True)
class HeaderOnly:
    """The bytes of a header, and the size a sparse file must have for its tensors to lie within it."""

    header: bytes
    file_bytes: int


def header_only(headers: Sequence[Header]) -> HeaderOnly:
    """One header for a model of any number of shards. BadFile where a long array is not the tokenizer's."""
    first = headers[0]
    kv = dict(_plain(first))
    kv["tokenizer.ggml.model"] = (STRING, "none")
    kv[f"{first.kv.get('general.architecture', '')}.vocab_size"] = (UINT32, _vocabulary(first))
    tensors = [tensor for header in headers for tensor in header.tensors]
    table, size = _table(tensors, _alignment(first))
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(kv))
    body = b"".join(_string(key) + struct.pack("<I", kind) + _value(kind, value) for key, (kind, value) in kv.items())
    data = head + body + table
    padded = data + bytes(-len(data) % _alignment(first))
    return HeaderOnly(padded, len(padded) + size)


def _plain(header: Header) -> Iterator[tuple[str, tuple[int, Value]]]:
    """Every pair but the tokenizer's and those about shards."""
    for key, value in header.kv.items():
        if not key.startswith(("tokenizer.", "split.")):
            yield key, (header.pairs[key].type, value)


def _vocabulary(header: Header) -> int:
    tokens = header.kv.get("tokenizer.ggml.tokens")
    if isinstance(tokens, Array):
        return tokens.count
    embedding = next((tensor for tensor in header.tensors if tensor.name == "token_embd.weight"), None)
    return embedding.dims[-1] if embedding else 0


def _alignment(header: Header) -> int:
    return header.alignment or DEFAULT_ALIGNMENT


def _table(tensors: Sequence[TensorInfo], alignment: int) -> tuple[bytes, int]:
    """The tensor table, one tensor behind the other, and the bytes of all of them."""
    parts, offset = [], 0
    for tensor in tensors:
        dims = struct.pack(f"<I{len(tensor.dims)}Q", len(tensor.dims), *tensor.dims)
        parts.append(_string(tensor.name) + dims + struct.pack("<IQ", tensor.type, offset))
        offset += tensor.bytes + -tensor.bytes % alignment
    return b"".join(parts), offset


def _value(kind: int, value: Value) -> bytes:
    if isinstance(value, Array):
        if value.values is None:
            raise BadFile("a long array outside the tokenizer cannot be copied for a rehearsal")
        head = struct.pack("<IQ", value.element_type, value.count)
        return head + b"".join(_value(value.element_type, item) for item in value.values)
    if isinstance(value, str):
        return _string(value)
    return struct.pack(f"<{FIXED[kind]}", value)


def _string(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return struct.pack("<Q", len(data)) + data
