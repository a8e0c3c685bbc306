"""Headers that were read before, on disk, by the digest of the file they belong to.

A digest names a content for ever, so nothing here grows old. An entry is JSON, compressed: what was in the header
less its long arrays. zlib's checksum finds a damaged one, which is set aside as `NAME.damaged` and counts as absent.
Writing is best effort: a cache on a full or read-only disk costs time, not the answer.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, TypeVar

from models.headers.gguf import Array, Header, Pair, Span, TensorInfo, Value
from models.stores.recency import mark_used
from models.stores.replacing import replace_file
from models.weights import SHA256

T = TypeVar("T")
FORMAT = 2
TOKENIZERS_KEPT = 16


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """The pairs that the files of one conversion share, and how many bytes of header followed them last time."""

    span: Span
    tail: int


def tokenizer_of(header: Header) -> Tokenizer | None:
    """The tokenizer of a header, if its long arrays are one run."""
    span = header.tokenizer()
    return None if span is None else Tokenizer(span, header.table_end - span.end)


class HeaderCache:
    """Entries under `folder`, which need not exist yet; safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._damaged: list[Path] = []
        self._headers = folder / "headers"
        self._tokenizers = folder / "tokenizers"

    def get(self, sha256: str | None) -> Header | None:
        """The header of the file with this digest; None if it was not kept, or is damaged."""
        return self._load(self._headers / sha256, _header) if sha256 and SHA256.fullmatch(sha256) else None

    def put(self, sha256: str | None, header: Header) -> None:
        """Keep the header of the file with this digest; without a digest there is nothing to find it by."""
        if sha256 and SHA256.fullmatch(sha256):
            _save(self._headers / sha256, _plain_header(header))

    def tokenizers(self) -> list[Tokenizer]:
        """The tokenizers met before, the latest first."""
        found = (self._load(path, _tokenizer) for path in _latest_first(self._tokenizers))
        return [tokenizer for tokenizer in found if tokenizer is not None]

    def remember(self, tokenizer: Tokenizer) -> None:
        """Keep a tokenizer for the next repository that has it."""
        entry = _plain_tokenizer(Tokenizer(tokenizer.span.moved(0), tokenizer.tail))
        key = hashlib.sha256(json.dumps([entry["kv"], entry["end"]]).encode()).hexdigest()
        _save(self._tokenizers / key, entry)
        mark_used(self._tokenizers / key, _latest_first(self._tokenizers))
        for path in _latest_first(self._tokenizers)[TOKENIZERS_KEPT:]:
            path.unlink(missing_ok=True)

    def notes(self) -> tuple[str, ...]:
        """What was set aside, in a sentence."""
        if not self._damaged:
            return ()
        return (f"Damaged entries of {self._folder} ({len(self._damaged)}) lie there as NAME.damaged.",)

    def _load(self, path: Path, read: Callable[[dict[str, Any]], T]) -> T | None:
        """What `read` makes of an entry; None where there is none, or one of another version, or a damaged one."""
        try:
            entry = json.loads(zlib.decompress(path.read_bytes()))
            return read(entry) if entry["format"] == FORMAT else None
        except OSError:
            return None
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError, zlib.error):
            with suppress(OSError):
                path.replace(path.with_name(f"{path.name}.damaged"))
                self._damaged.append(path)
            return None


def _latest_first(folder: Path) -> list[Path]:
    try:
        times = [(path.stat().st_mtime_ns, path) for path in folder.iterdir() if SHA256.fullmatch(path.name)]
    except OSError:
        return []
    return [path for _, path in sorted(times, reverse=True)]


def _save(path: Path, entry: dict[str, Any]) -> None:
    data = zlib.compress(json.dumps({"format": FORMAT, **entry}, separators=(",", ":")).encode())
    with suppress(OSError):
        replace_file(path, data)


def _plain_header(header: Header) -> dict[str, Any]:
    return {
        "version": header.version,
        "alignment": header.alignment,
        "places": [header.table_end, header.data_start],
        "kv": _plain_kv(header.kv),
        "pairs": [astuple(pair) for pair in header.pairs.values()],
        "tensors": [astuple(tensor) for tensor in header.tensors],
    }


def _header(entry: dict[str, Any]) -> Header:
    kv = _kv(entry["kv"])
    tensors = tuple(TensorInfo(name, kind, tuple(dims), at) for name, kind, dims, at in entry["tensors"])
    return Header(entry["version"], kv, tensors, entry["alignment"], _pairs(kv, entry["pairs"]), *entry["places"])


def _plain_tokenizer(tokenizer: Tokenizer) -> dict[str, Any]:
    span = tokenizer.span
    return {
        "kv": _plain_kv(span.kv),
        "pairs": [astuple(pair) for pair in span.pairs.values()],
        "end": span.end,
        "tail": tokenizer.tail,
    }


def _tokenizer(entry: dict[str, Any]) -> Tokenizer:
    kv = _kv(entry["kv"])
    return Tokenizer(Span(kv, _pairs(kv, entry["pairs"]), 0, entry["end"]), entry["tail"])


def _plain_kv(kv: Mapping[str, Value]) -> dict[str, Any]:
    """Arrays become lists; nothing else in a header is one."""
    return {key: list(astuple(value)) if isinstance(value, Array) else value for key, value in kv.items()}


def _kv(plain: dict[str, Any]) -> dict[str, Value]:
    return {key: _array(*value) if isinstance(value, list) else value for key, value in plain.items()}


def _array(kind: int, count: int, offset: int, end: int, values: list[Any] | None) -> Array:
    return Array(kind, count, offset, end, None if values is None else tuple(values))


def _pairs(kv: dict[str, Value], rows: list[list[int]]) -> dict[str, Pair]:
    return {key: Pair(*row) for key, row in zip(kv, rows, strict=True)}
