"""A GGUF header as bytes: version 3, little endian. Pure."""

import struct
from collections.abc import Iterator, Mapping, Sequence

from models.headers.gguf import Array, TensorInfo, Value, aligned
from models.headers.gguf_bytes import FIXED, STRING, Scalar

Pairs = Mapping[str, tuple[int, Value]]  # the GGUF type of each value, and the value


def header_bytes(pairs: Pairs, tensors: Sequence[TensorInfo], alignment: int) -> bytes:
    """Everything before the weights, which follow each other in the tensors' order, wherever they were before.

    An array must have its `values`.
    """
    parts = [struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(pairs))]
    for key, (kind, value) in pairs.items():
        parts += [_string(key), struct.pack("<I", kind), *_value(kind, value)]
    offset = 0
    for tensor in tensors:
        dims = struct.pack(f"<I{len(tensor.dims)}Q", len(tensor.dims), *tensor.dims)
        parts += [_string(tensor.name), dims, struct.pack("<IQ", tensor.type, offset)]
        offset += aligned(tensor.bytes, alignment)
    head = b"".join(parts)
    return head.ljust(aligned(len(head), alignment), b"\0")


def weight_bytes(tensors: Sequence[TensorInfo], alignment: int) -> int:
    """Bytes that the weights take behind the header."""
    return sum(aligned(tensor.bytes, alignment) for tensor in tensors)


def _value(kind: int, value: Value) -> Iterator[bytes]:
    if isinstance(value, Array):
        assert value.values is not None
        yield struct.pack("<IQ", value.element_type, value.count)
        yield _elements(value.element_type, value.values)
    else:
        yield _elements(kind, (value,))


def _elements(kind: int, values: Sequence[Scalar]) -> bytes:
    if kind == STRING:
        return b"".join(_string(str(value)) for value in values)
    return struct.pack(f"<{len(values)}{FIXED[kind]}", *values)


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw
