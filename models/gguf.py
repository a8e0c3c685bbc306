"""A GGUF header: what a file of weights says about itself before its first weight. Pure, but for `read_header`."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from models.quants import TYPES

Scalar = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Array:
    """An array value: `count` elements in the file's bytes [offset, end).

    `values` is None for a long array (more than SHORT elements); `values_of` decodes it from a local file.
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
        kind = TYPES[self.type]
        return self.elements // kind.block * kind.block_bytes


@dataclass(frozen=True, slots=True)
class Header:
    """Everything before the weights; all positions are bytes from the start of the file.

    The tensor table is [table_start, table_end). Without tensors `data_start` is `table_end`.
    """

    version: int
    kv: Mapping[str, Value]
    tensors: tuple[TensorInfo, ...]
    alignment: int
    pairs: Mapping[str, Pair]
    table_start: int
    table_end: int
    data_start: int

    @property
    def data_end(self) -> int:
        """End of the last tensor, unpadded."""
        if not self.tensors:
            return self.data_start
        last = self.tensors[-1]
        return self.data_start + last.offset + last.bytes
