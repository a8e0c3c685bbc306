"""The smallest pieces of a GGUF header, decoded from a buffer that may end too early. Pure.

Every decoder takes the buffer and a position and returns what it found and the position behind it. It raises
NeedMore while bytes are missing and BadHeader where they are wrong, by the rules of llama.cpp (gguf.cpp). Nothing is
allocated for a count or a length before its bytes are there.
"""

from struct import Struct, calcsize
from struct import error as StructError  # noqa: N812
from typing import Any

from models.headers.quants import TYPES

MAGIC, VERSIONS = b"GGUF", (2, 3)
MAX_KEY, MAX_TENSOR_NAME, MAX_DIMENSIONS = 65_535, 63, 4
MAX_PAIRS, MAX_TENSORS = 65_536, 200_000
MAX_I64, MAX_U64 = 2**63 - 1, 2**64 - 1

UINT32, BOOL, STRING, ARRAY = 4, 7, 8, 9
# struct's codes of the values of fixed size, by GGUF's type number; `?` takes any byte but 0 as true.
FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", BOOL: "?", 10: "Q", 11: "q", 12: "d"}

_MAGIC, _U32, _U64, _COUNTS = Struct("4s"), Struct("<I"), Struct("<Q"), Struct("<QQ")
_ARRAY_HEAD = Struct("<IQ")  # element type, count
_ENTRY_TAILS = [Struct(f"<{n}qiQ") for n in range(MAX_DIMENSIONS + 1)]  # n dimensions, type, offset

_FOREIGN_BEGIN = 64
_SAFETENSORS = ": weights as transformers has them, in safetensors; localrun search finds the same model as GGUF"
_FOREIGN = {
    b"version https://git-lfs": ": a pointer of Git LFS and not the weights; git lfs pull fetches them",
    b"<!doctype": ": a web page, which was downloaded in place of the weights",
    b"<html": ": a web page, which was downloaded in place of the weights",
    **dict.fromkeys((b"lmgg", b"fmgg", b"tjgg"), ": weights for llama.cpp before August 2023, which it reads no more"),
}

Scalar = bool | int | float | str
Buffer = bytes | bytearray


class NeedMore(Exception):  # noqa: N818
    """The buffer ends before position `end`."""

    def __init__(self, end: int) -> None:
        super().__init__(end)
        self.end = end


class BadHeader(Exception):  # noqa: N818
    """The bytes are there and wrong; the message is a clause that follows the place."""


def preamble(buffer: Buffer, at: int) -> tuple[tuple[int, int, int], int]:
    """Magic, then (version, number of tensors, number of pairs)."""
    (magic,), at = _take(buffer, at, _MAGIC)
    if magic != MAGIC:
        raise BadHeader(f"not a GGUF file, it begins with {shown(_text(magic))}{_what_it_is(buffer)}")
    (version,), at = _take(buffer, at, _U32)
    if version and not version & 0xFFFF:
        raise BadHeader("a big endian GGUF file, and llama.cpp reads little endian ones here")
    if version not in VERSIONS:
        raise BadHeader(f"GGUF version {version}, and llama.cpp reads versions 2 and 3")
    (tensors, pairs), at = _take(buffer, at, _COUNTS)
    if tensors > MAX_TENSORS:
        raise BadHeader(f"it claims {tensors} tensors, {MAX_TENSORS} are the most")
    if pairs > MAX_PAIRS:
        raise BadHeader(f"it claims {pairs} keys, {MAX_PAIRS} are the most")
    return (version, tensors, pairs), at


def _what_it_is(buffer: Buffer) -> str:
    """What people take for weights, or have instead of them; empty for all else."""
    begin = bytes(buffer[:_FOREIGN_BEGIN])
    if begin[3:9] == bytes(5) + b"{":  # behind the length of its header
        return _SAFETENSORS
    return next((what for magic, what in _FOREIGN.items() if begin.lstrip().lower().startswith(magic)), "")


def key(buffer: Buffer, at: int) -> tuple[tuple[str, int], int]:
    """A key and the type of its value."""
    name, at = string(buffer, at, MAX_KEY)
    (kind,), at = _take(buffer, at, _U32)
    if not name:
        raise BadHeader("it is empty")
    if kind != ARRAY:
        _check_type(kind)
    return (name, kind), at


def array_head(buffer: Buffer, at: int) -> tuple[tuple[int, int], int]:
    """An array's element type and count."""
    (kind, count), at = _take(buffer, at, _ARRAY_HEAD)
    _check_type(kind)
    return (kind, count), at


def scalar(buffer: Buffer, at: int, kind: int) -> tuple[Scalar, int]:
    """One value of any type but an array."""
    (value,), at = elements(buffer, at, kind, 1)
    return value, at


def elements(buffer: Buffer, at: int, kind: int, count: int) -> tuple[tuple[Scalar, ...], int]:
    """`count` values in a row."""
    if kind != STRING:
        return _take(buffer, at, Struct(f"<{count}{FIXED[kind]}"))
    values = []
    for _ in range(count):
        value, at = string(buffer, at)
        values.append(value)
    return tuple(values), at


def string(buffer: Buffer, at: int, limit: int = MAX_U64) -> tuple[str, int]:
    """A string of at most `limit` bytes."""
    (length,), at = _take(buffer, at, _U64)
    if length > limit:
        raise BadHeader(f"its name has {length} bytes, {limit} are the most")
    end = at + length
    if end > len(buffer):
        raise NeedMore(end)
    return _text(buffer[at:end]), end


def tensor(buffer: Buffer, at: int) -> tuple[tuple[str, int, tuple[int, ...], int], int]:
    """One entry of the tensor table: (name, type, dimensions, offset)."""
    name, at = string(buffer, at, MAX_TENSOR_NAME)
    (count,), at = _take(buffer, at, _U32)
    if count > MAX_DIMENSIONS:
        raise BadHeader(f"{shown(name)} has {count} dimensions, {MAX_DIMENSIONS} are the most")
    (*dims, kind, offset), at = _take(buffer, at, _ENTRY_TAILS[count])
    _check_tensor(name, kind, dims)
    return (name, kind, tuple(dims), offset), at


def width(kind: int) -> int:
    """Bytes of one value; of a string, the least."""
    return 8 if kind == STRING else calcsize("<" + FIXED[kind])


def skip(buffer: Buffer, at: int, size: int) -> tuple[None, int]:
    """Step over `size` bytes."""
    if at + size > len(buffer):
        raise NeedMore(at + size)
    return None, at + size


def skip_strings(buffer: Buffer, at: int, count: int) -> tuple[int, int]:
    """Step over at most `count` strings whose lengths are there: (how many, the position behind them).

    That position is past the end of the buffer where the last string is not whole.
    """
    length = _U64.unpack_from
    done = 0
    try:
        for done in range(count):  # noqa: B007
            at += 8 + length(buffer, at)[0]
    except (StructError, OverflowError):  # OverflowError: a position of 2**63 and more
        return done, at
    return count, at


def shown(text: str) -> str:
    """Text from a file for a message: quoted, cut, without control characters."""
    return repr(text if len(text) <= 64 else text[:63] + "…")


def _take(buffer: Buffer, at: int, layout: Struct) -> tuple[tuple[Any, ...], int]:
    end = at + layout.size
    if end > len(buffer):
        raise NeedMore(end)
    return layout.unpack_from(buffer, at), end


def _text(raw: Buffer) -> str:
    return raw.decode(errors="backslashreplace")


def _check_type(kind: int) -> None:
    if kind not in FIXED and kind != STRING:
        raise BadHeader(f"its value has type {kind}, which llama.cpp does not read")


def _check_tensor(name: str, kind: int, dims: list[int]) -> None:
    if kind not in TYPES:
        raise BadHeader(f"{shown(name)} has type {kind}, which llama.cpp does not read")
    elements = 1
    for size in dims:
        elements *= size
        if size < 0 or elements > MAX_I64:
            raise BadHeader(f"{shown(name)} has impossible dimensions {dims}")
    row, block = (dims[0] if dims else 1), TYPES[kind].block
    if row % block:
        raise BadHeader(f"{shown(name)} has rows of {row} values, {TYPES[kind].name} takes multiples of {block}")
