"""GGUF headers: what a file of weights says about itself before its first weight byte.

A header is 24 bytes (magic, version, counts), then key-value pairs, then the tensor table; the weights follow,
padded. `Reader` takes it in pieces, so that a few ranges of a remote file are enough; `parse` takes whole bytes
and `read_header` a local file. Everything that fails is a BadFile, which says what is wrong and where.

Bounds: a header ends within HEADER_LIMIT bytes; nothing is allocated for a count before its bytes are there;
arrays of more than SHORT elements are skipped, not decoded. Refused is what llama.cpp refuses (gguf.cpp and
llama-model-loader.cpp), and little more: keys above 65,535 bytes (the format's own bound) and absurd counts.

Keys, names and strings may hold any bytes: what is not UTF-8 is decoded as backslash escapes, so that every
string can be printed and encoded again.
"""

import os
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import TypeVar

from models.errors import BadFile
from models.headers import gguf_bytes as decode
from models.headers.gguf_bytes import NeedMore, Refused, Scalar, shown
from models.headers.quants import TYPES

HEADER_LIMIT = 64 << 20
SHORT = 4096
FIRST_WINDOW = 256 << 10
SMALL_PAIRS, ENTRY = 16 << 10, 64  # usual bytes of all pairs but the long arrays, and of one table entry
DEFAULT_ALIGNMENT = 32

_T = TypeVar("_T")
_Need = tuple[int, int]  # positions in the buffer: the least that is needed, and what will probably be


@dataclass(frozen=True, slots=True)
class Array:
    """An array value: `count` elements in the file's bytes [offset, end).

    `values` is None for a long array, one of more than SHORT elements; `values_of` decodes those.
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
        """End of the last tensor, unpadded: llama.cpp refuses a shorter file."""
        if not self.tensors:
            return self.data_start
        last = self.tensors[-1]
        return self.data_start + last.offset + last.bytes

    def accounts_for(self, size: int) -> bool:
        """Whether a file of `size` bytes holds this header, its tensors and nothing else."""
        return size in {self.data_end, _padded(self.data_end, self.alignment)}

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


def parse(buffer: bytes | bytearray | memoryview) -> Header:
    """Parse a header that is whole in `buffer`, with or without the weights behind it."""
    reader = Reader(len(buffer))
    if reader.header is None:
        reader.feed(buffer)
    assert reader.header is not None  # with the size known, a missing byte is a BadFile
    return reader.header


def read_header(path: Path) -> Header:
    """Read the header of a local file, which must also be long enough for its tensors."""
    try:
        if not path.is_file():
            raise BadFile("no such file")
        return _read_header(path)
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror}") from error
    except BadFile as error:
        raise BadFile(f"{path}: {error}") from None


def _read_header(path: Path) -> Header:
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        reader = Reader(size)
        while reader.header is None:
            start, end = reader.wants
            file.seek(start)
            reader.feed(file.read(end - start))
    if size < reader.header.data_end:
        raise BadFile(f"the file is cut: {size} bytes, and its tensors end at byte {reader.header.data_end}")
    return reader.header


def values_of(path: Path, array: Array) -> tuple[Scalar, ...]:
    """Decode the elements of an array, however long, from the local file that it was found in."""
    if array.values is not None:
        return array.values
    try:
        with path.open("rb") as file:
            file.seek(array.offset)
            data = file.read(array.end - array.offset)
        return decode.elements(data, 0, array.element_type, array.count)[0]
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror}") from error
    except NeedMore:
        raise BadFile(f"{path}: the file has changed: the array at byte {array.offset} is cut") from None


class Reader:
    """A parser that is fed a file's header piece by piece.

    `wants` is the range of the file to feed next: its start is exact, its end a guess, seldom too small and never
    past `size`. Any piece that begins at that start will do. `header` is None until it is complete. `size` is the
    file's, None while not known. Where the long arrays begin as in `known`, that run's bytes are not asked for but
    taken as read (`spliced` is then true): prove such a header with `accounts_for`. `skipping` is true while the
    next bytes are the inside of a long array.
    """

    def __init__(self, size: int | None = None, known: Span | None = None) -> None:
        self.header: Header | None = None
        self.wants = (0, 0)
        self.spliced = False
        self.skipping = False
        self._limit = HEADER_LIMIT if size is None else min(size, HEADER_LIMIT)
        self._known = known
        self._buffer = bytearray()
        self._at = 0  # position in the buffer
        self._gap = 0  # bytes of the file that were left out of the buffer
        self._entry, self._entry_start = "header", 0  # what is being read, and where in the file
        self._rest_guess = FIRST_WINDOW  # bytes that are likely to follow: small pairs and the tensor table
        self._kv: dict[str, Value] = {}
        self._pairs: dict[str, Pair] = {}
        self._steps = self._run()
        self._advance()

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take the file's bytes from `wants[0]` on; not to be called when the header is complete."""
        if not data:
            raise self._bad("the file ends here")
        self._buffer += data
        self._advance()

    def _advance(self) -> None:
        try:
            need, guess = next(self._steps)
        except StopIteration as done:
            self.header = done.value
            return
        except Refused as refused:
            raise self._bad(str(refused)) from None
        if need + self._gap > self._limit:
            raise self._bad(self._past())
        self.wants = (len(self._buffer) + self._gap, min(guess + self._gap, self._limit))

    def _bad(self, reason: str) -> BadFile:
        self._steps.close()  # it refers to this object: without it the buffer is freed at once
        return BadFile(f"{self._entry} at byte {self._entry_start}: {reason}")

    def _past(self) -> str:
        if not self._limit:
            return "the file is empty"
        reason = "a header must have ended" if self._limit == HEADER_LIMIT else "the file ends"
        return f"it reaches past byte {self._limit}, where {reason}"

    @property
    def _position(self) -> int:
        return self._at + self._gap

    def _begin(self, entry: str) -> None:
        self._entry, self._entry_start = entry, self._position

    def _read(self, decoder: Callable[[bytearray, int], tuple[_T, int]]) -> Generator[_Need, None, _T]:
        """Decode one thing where we are; when bytes are missing, ask for them and begin it again."""
        while True:
            try:
                value, self._at = decoder(self._buffer, self._at)
            except NeedMore as more:
                yield more.end, more.end + self._rest_guess
            else:
                return value

    def _run(self) -> Generator[_Need, None, Header]:
        version, tensor_count, pair_count = yield from self._read(decode.preamble)
        self._rest_guess = SMALL_PAIRS + min(ENTRY * tensor_count, FIRST_WINDOW)
        while len(self._kv) < pair_count:
            self._begin(f"key {len(self._kv)}")
            yield from self._read_pair(pair_count - len(self._kv))
        alignment = self._kv.get("general.alignment", DEFAULT_ALIGNMENT)
        assert isinstance(alignment, int)  # _read_pair refuses others
        table_start = self._position
        tensors = yield from self._read_table(tensor_count, alignment)
        table_end = self._position
        data_start = _padded(table_end, alignment) if tensors else table_end
        return Header(version, self._kv, tensors, alignment, self._pairs, table_start, table_end, data_start)

    def _read_pair(self, left: int) -> Generator[_Need, None, None]:
        at, start = self._at, self._position
        key, kind = yield from self._read(decode.key)
        if key in self._kv:
            raise Refused(f"{shown(key)} is there twice")
        value: Value
        if kind == decode.ARRAY:
            element_type, count = yield from self._read(decode.array_head)
            if self._splice(at, key, element_type, count, left):
                return
            value = yield from self._read_array(element_type, count)
        else:
            value = yield from self._read(partial(decode.scalar, kind=kind))
        if key == "general.alignment":
            _check_alignment(kind, value)
        self._kv[key], self._pairs[key] = value, Pair(kind, start, self._position)

    def _splice(self, at: int, key: str, element_type: int, count: int, left: int) -> bool:
        """Put the known run in the place of the pair that begins at `at`, if it begins like this one."""
        if self.spliced or self._known is None or not self._known.opens_with(key, element_type, count):
            return False
        run = self._known.moved(at + self._gap)
        if len(run.kv) > left or run.kv.keys() & self._kv.keys():
            return False
        self._kv |= run.kv
        self._pairs |= run.pairs
        del self._buffer[at : at + run.end - run.start]
        self._at = at
        self._gap += run.end - run.start
        self.spliced = True
        return True

    def _read_array(self, element_type: int, count: int) -> Generator[_Need, None, Array]:
        offset, width = self._position, decode.width(element_type)
        if offset + count * width > self._limit:
            raise Refused(self._past())
        values = None
        if count <= SHORT:
            values = yield from self._read(partial(decode.elements, kind=element_type, count=count))
        else:
            self.skipping = True
            if element_type == decode.STRING:
                yield from self._skip_strings(count)
            else:
                yield from self._read(partial(decode.skip, size=count * width))
            self.skipping = False
        return Array(element_type, count, offset, self._position, values)

    def _skip_strings(self, count: int) -> Generator[_Need, None, None]:
        """Step over strings by their lengths; a break in the middle goes on where it was."""
        start, left = self._at, count
        while left or self._at > len(self._buffer):
            done, self._at = decode.skip_strings(self._buffer, self._at, left)
            left -= done
            if left or self._at > len(self._buffer):
                mean = (self._at - start) / max(1, count - left)
                yield self._at + 8 * bool(left), self._at + int(1.01 * mean * left) + self._rest_guess

    def _read_table(self, count: int, alignment: int) -> Generator[_Need, None, tuple[TensorInfo, ...]]:
        tensors: dict[str, TensorInfo] = {}
        offset = 0
        for index in range(count):
            self._begin(f"tensor {index}")
            tensor = TensorInfo(*(yield from self._read(decode.tensor)))
            if tensor.name in tensors:
                raise Refused(f"{shown(tensor.name)} is there twice")
            if tensor.offset != offset:
                raise Refused(f"{shown(tensor.name)} has offset {tensor.offset}, the tensors before end at {offset}")
            offset += _padded(tensor.bytes, alignment)
            if offset > decode.MAX_U64:
                raise Refused(f"{shown(tensor.name)} ends beyond 64 bits")
            tensors[tensor.name] = tensor
        return tuple(tensors.values())


def _check_alignment(kind: int, value: Value) -> None:
    if kind != decode.UINT32 or not isinstance(value, int) or value.bit_count() != 1:
        raise Refused("'general.alignment' is not a power of two of type uint32")


def _moved(value: Value, by: int) -> Value:
    return replace(value, offset=value.offset + by, end=value.end + by) if isinstance(value, Array) else value


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
