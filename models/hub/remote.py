"""Headers of weights on the Hub, from kilobytes: ranges, not files.

Nearly all of a header is its tokenizer, and the quantizations of one model have it in common. So one file is read
whole, and of each other two small windows: its start, up to the tokenizer, and what follows the tokenizer. That the
tokenizers are equally long is a guess until the tensor table, whose offsets must add up, ends exactly where the
listed size of the file says. Where it does not, that file is read whole as well.
"""

import hashlib
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from models.errors import BadFile, LocalrunError
from models.headers.gguf import Header
from models.headers.quantizations import ReadSet
from models.headers.reader import Reader
from models.headers.shards import check_shards
from models.hub.http import Note, Patience
from models.hub.ranges import PATIENCE, Ranges
from models.stores.header_cache import HeaderCache, Tokenizer, tokenizer_of
from models.stores.header_files import read_header
from models.weights import WeightFile, WeightSet

THREADS = 8
HEAD = 8 << 10  # up to the tokenizer, most headers have 1 to 2 KiB
SHARD_HEAD = 64 << 10  # a later shard has no tokenizer: its whole header, more often than not
TAIL_SLACK = 4 << 10  # what a sibling may have more behind its tokenizer: an importance matrix leaves 300 bytes
GUESSES = 3  # tokenizers to try on one file before it is read whole
TAIL_WINDOWS = 4
_LATER_SHARD = re.compile(r"-(?!00001)\d{5}-of-\d{5}\.gguf", re.IGNORECASE)
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Reading:
    """The sets with their headers, for `quantizations`; `notes` say what was left out and why.

    `fetched_bytes` came over the network.
    """

    sets: tuple[ReadSet, ...]
    notes: tuple[str, ...]
    fetched_bytes: int


def read_headers(
    sets: Sequence[WeightSet],
    cache: Path,
    *,
    endpoint: str | None = None,
    patience: Patience = PATIENCE,
    note: Note | None = None,
) -> Reading:
    """Read the headers of all files, local ones from disk, others from the Hub or the header cache at `cache`.

    A set that cannot be read becomes a note; only when none can, the first failure is raised. `note` is told when
    the Hub makes us wait.
    """
    ranges = Ranges(endpoint, patience, note)
    kept = HeaderCache(cache)
    source = _Headers(kept, ranges)
    with ThreadPoolExecutor(THREADS) as pool:
        read = {file: pool.submit(source.of, file) for one in sets for file in one.files}
        try:
            wait(read.values())
        except BaseException:
            ranges.stop()
            raise
    found: list[ReadSet] = []
    failures: list[LocalrunError] = []
    notes: list[str] = []
    for one in sets:
        try:
            headers = tuple(read[file].result() for file in one.files)
            check_shards(headers, [file.name for file in one.files])
            found.append(ReadSet(one, headers))
        except BadFile as error:
            failures.append(error)
            notes.append(f"Left out: {error}")
        except LocalrunError as error:
            failures.append(error)
            notes.append(f"Left out: {one.files[0].name}: {error}")
    if failures and not found:
        raise failures[0]
    return Reading(tuple(found), (*notes, *kept.notes()), ranges.fetched)


def _stamp(path: Path | None) -> str | None:
    """In the place of a digest: the same for a local file as long as nobody writes to it."""
    if path is None:
        return None
    try:
        state = path.stat()
    except OSError:
        return None
    facts = (str(path), state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    return hashlib.sha256(repr(facts).encode()).hexdigest()


class _Headers:
    """The headers of one listing, asked for by several threads."""

    def __init__(self, cache: HeaderCache, ranges: Ranges) -> None:
        self._ranges = ranges
        self._cache = cache
        self._lock = threading.Lock()  # held while a header is read whole, for then the next ones need not be
        self._tokenizers = cache.tokenizers()  # replaced, never changed

    def of(self, file: WeightFile) -> Header:
        """The header of a file; BadFile names it."""
        key = file.sha256 or _stamp(file.path)
        header = self._cache.get(key)
        if header is None or header.data_end > file.bytes:
            header = read_header(file.path) if file.path is not None else self._named(file)
            self._cache.put(key, header)
        return header

    def _named(self, file: WeightFile) -> Header:
        try:
            return self._fetch(file)
        except BadFile as error:
            raise BadFile(f"{file.name}: {error}") from error

    def _fetch(self, file: WeightFile) -> Header:
        """Behind the known tokenizers, each of which is a guess; whole where none is right."""
        reader, head = self._read_head(file)
        tried: list[Tokenizer] = []
        while reader.skipping:
            for guess, tokenizer in islice(self._guesses(file, head, tried), GUESSES - len(tried)):
                if header := self._proved(file, guess, tokenizer):
                    return header
                tried.append(tokenizer)
            with self._lock:  # another thread may have learned one while we waited
                if len(tried) == GUESSES or not any(self._guesses(file, head, tried)):
                    return self._learned(self._read_on(file, reader))
        return self._read_on(file, reader)

    def _read_head(self, file: WeightFile) -> tuple[Reader, bytes]:
        """Read until the header is complete or its first long array begins; the reader and what it was fed."""
        if not file.bytes:
            raise BadFile("the file is empty")
        reader, head = Reader(file.bytes), b""
        window = SHARD_HEAD if _LATER_SHARD.search(file.name) else HEAD
        while reader.header is None and not reader.skipping:
            start, end = reader.wants
            head += self._ranges.read(file, start, min(end, start + window))
            reader.feed(head[start:])
            window *= 4
        return reader, head

    def _guesses(self, file: WeightFile, head: bytes, tried: Sequence[Tokenizer]) -> Iterator[tuple[Reader, Tokenizer]]:
        """Readers that found the beginning of a known tokenizer in the head and stepped over it."""
        for tokenizer in self._tokenizers:
            reader = Reader(file.bytes, tokenizer.span)
            try:
                if tokenizer not in tried:
                    reader.feed(head)
            except BadFile:
                if not reader.spliced:
                    raise
            else:
                if reader.spliced:
                    yield reader, tokenizer

    def _proved(self, file: WeightFile, reader: Reader, tokenizer: Tokenizer) -> Header | None:
        """The header behind a stepped-over tokenizer, if every byte of the file is accounted for."""
        window = tokenizer.tail + TAIL_SLACK
        try:
            for _ in range(TAIL_WINDOWS):
                if reader.header is not None:
                    break
                start, end = reader.wants
                reader.feed(self._ranges.read(file, start, min(start + window, file.bytes)))
                window = max(window, end - start)
        except BadFile:
            return None
        header = reader.header
        if header is None or not header.accounts_for(file.bytes):
            return None
        return header if all(map(_PLAIN_KEY.fullmatch, header.kv)) else None

    def _read_on(self, file: WeightFile, reader: Reader) -> Header:
        while reader.header is None:
            reader.feed(self._ranges.read(file, *reader.wants))
        if reader.header.data_end > file.bytes:
            raise BadFile(f"the file is cut: its tensors end at byte {reader.header.data_end} of {file.bytes}")
        return reader.header

    def _learned(self, header: Header) -> Header:
        tokenizer = tokenizer_of(header)
        if tokenizer is not None:
            self._tokenizers = [tokenizer, *self._tokenizers]
            self._cache.remember(tokenizer)
        return header
