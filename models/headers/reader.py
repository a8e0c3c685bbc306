"""Bytes -> GGUF header, in pieces, so that a few ranges of a remote file are enough. Pure.

Everything that fails is a BadFile, which says what is wrong and where. Bounds: a header ends within HEADER_LIMIT
bytes; nothing is allocated for a count before its bytes are there; arrays of more than SHORT elements are skipped, not
decoded. A BadHeader is what llama.cpp refuses (gguf.cpp and llama-model-loader.cpp), and little more: keys above
65,535 bytes (the format's own bound) and absurd counts.
"""

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import TypeVar

from models.errors import BadFile
from models.headers import gguf_bytes as decode
from models.headers.gguf import DEFAULT_ALIGNMENT, SHORT, Array, Header, Pair, Span, TensorInfo, Value, aligned
from models.headers.gguf_bytes import BadHeader, NeedMore, shown

HEADER_LIMIT = 64 << 20
FIRST_WINDOW = 256 << 10
SMALL_PAIRS, ENTRY = 16 << 10, 64  # usual bytes of all pairs but the long arrays, and of one table entry

_T = TypeVar("_T")
_Need = tuple[int, int]  # positions in the buffer: the least that is needed, and what will probably be


def parse(buffer: bytes | bytearray | memoryview) -> Header:
    """Parse a header that is whole in `buffer`, with or without the weights behind it."""
    reader = Reader(len(buffer))
    if reader.header is None:
        reader.feed(buffer)
    assert reader.header is not None  # with the size known, a missing byte is a BadFile
    return reader.header


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
        except BadHeader as refused:
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
    def keys(self) -> Mapping[str, Value]:
        """The pairs that were read so far."""
        return self._kv

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
        tensors = yield from self._read_table(tensor_count, alignment)
        table_end = self._position
        data_start = aligned(table_end, alignment) if tensors else table_end
        return Header(version, self._kv, tensors, alignment, self._pairs, table_end, data_start)

    def _read_pair(self, left: int) -> Generator[_Need, None, None]:
        at, start = self._at, self._position
        key, kind = yield from self._read(decode.key)
        if key in self._kv:
            raise BadHeader(f"{shown(key)} is there twice")
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
            raise BadHeader(self._past())
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
                next_length = 8 if left else 0
                yield self._at + next_length, self._at + int(1.01 * mean * left) + self._rest_guess

    def _read_table(self, count: int, alignment: int) -> Generator[_Need, None, tuple[TensorInfo, ...]]:
        tensors: dict[str, TensorInfo] = {}
        offset = 0
        for index in range(count):
            self._begin(f"tensor {index}")
            tensor = TensorInfo(*(yield from self._read(decode.tensor)))
            if tensor.name in tensors:
                raise BadHeader(f"{shown(tensor.name)} is there twice")
            if tensor.offset != offset:
                raise BadHeader(f"{shown(tensor.name)} has offset {tensor.offset}, the tensors before end at {offset}")
            offset += aligned(tensor.bytes, alignment)
            if offset > decode.MAX_U64:
                raise BadHeader(f"{shown(tensor.name)} ends beyond 64 bits")
            tensors[tensor.name] = tensor
        return tuple(tensors.values())


def _check_alignment(kind: int, value: Value) -> None:
    if kind != decode.UINT32 or not isinstance(value, int) or value.bit_count() != 1:
        raise BadHeader("'general.alignment' is not a power of two of type uint32")
