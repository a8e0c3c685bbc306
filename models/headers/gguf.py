"""A GGUF header as data: what a file of weights says about itself before its first weight byte. Pure.

A header is 24 bytes (magic, version, counts), then key-value pairs, then the tensor table; the weights follow,
aligned. Keys, names and strings may hold any bytes: what is not UTF-8 is decoded as backslash escapes, so that every
string can be printed and encoded again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from models.headers.gguf_bytes import Scalar
from models.headers.quants import TYPES

SHORT = 4096  # elements; longer arrays are skipped, not decoded
DEFAULT_ALIGNMENT = 32


@dataclass(frozen=True, slots=True)
class Array:
    """An array value: `count` elements in the file's bytes [offset, end).

    `values` is None for a long array, one of more than SHORT elements.
    """

    element_type: int
    count: int
    offset: int
    end: int
    values: tuple[Scalar, ...] | None


Value = Scalar | Array


@dataclass(frozen=True, slots=True)
class Pair:
    """Where a key and its value lie: the file's bytes [start, end); `type` is the value's GGUF type."""

    type: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One entry of the tensor table; `offset` counts from `Header.data_start`."""

    name: str
    type: int
    dims: tuple[int, ...]
    offset: int

    @property
    def elements(self) -> int:
        """Number of values."""
        return prod(self.dims)

    @property
    def bytes(self) -> int:
        """Size in the file, without padding."""
        return TYPES[self.type].size(self.elements)


@dataclass(frozen=True, slots=True)
class Span:
    """A run of pairs in the file's bytes [start, end): a tokenizer, which the files of one conversion share."""

    kv: Mapping[str, Value]
    pairs: Mapping[str, Pair]
    start: int
    end: int

    def opens_with(self, key: str, element_type: int, count: int) -> bool:
        """Whether an array looks like this run's first."""
        first, value = next(iter(self.kv.items()))
        return isinstance(value, Array) and (first, value.element_type, value.count) == (key, element_type, count)

    def moved(self, start: int) -> "Span":
        """The same run in a file where it begins at `start`."""
        by = start - self.start
        kv = {key: _moved(value, by) for key, value in self.kv.items()}
        pairs = {key: Pair(pair.type, pair.start + by, pair.end + by) for key, pair in self.pairs.items()}
        return Span(kv, pairs, start, self.end + by)


@dataclass(frozen=True, slots=True)
class Header:
    """Everything before the weights; positions are bytes from the start of the file, keys in the file's order.

    The tensor table ends at `table_end`. Without tensors `data_start` is `table_end`.
    """

    version: int
    kv: Mapping[str, Value]
    tensors: tuple[TensorInfo, ...]
    alignment: int
    pairs: Mapping[str, Pair]
    table_end: int
    data_start: int

    @property
    def data_end(self) -> int:
        """End of the last tensor, unpadded: llama.cpp refuses a shorter file."""
        if not self.tensors:
            return self.data_start
        last = self.tensors[-1]
        return self.data_start + last.offset + last.bytes

    def accounts_for(self, size: int) -> bool:
        """Whether a file of `size` bytes holds this header, its tensors and nothing else."""
        return size in {self.data_end, aligned(self.data_end, self.alignment)}

    def tokenizer(self) -> Span | None:
        """The pairs from the first long array to the last, None where that run holds other than tokenizer keys."""
        keys = list(self.kv)
        long = [index for index, value in enumerate(self.kv.values()) if is_long(value)]
        run = keys[long[0] : long[-1] + 1] if long else []
        if not run or not all(key.startswith("tokenizer.") for key in run):
            return None
        pairs = {key: self.pairs[key] for key in run}
        return Span({key: self.kv[key] for key in run}, pairs, pairs[run[0]].start, pairs[run[-1]].end)


def is_long(value: Value) -> bool:
    """Whether this is an array that was skipped, not decoded."""
    return isinstance(value, Array) and value.values is None


def _moved(value: Value, by: int) -> Value:
    return replace(value, offset=value.offset + by, end=value.end + by) if isinstance(value, Array) else value


def aligned(size: int, alignment: int) -> int:
    """A size in bytes, rounded up to the alignment."""
    return -(-size // alignment) * alignment
