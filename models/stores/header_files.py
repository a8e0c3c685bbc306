"""The headers of files on this machine. Edge: the disk, read only."""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from models.errors import BadFile
from models.headers.gguf import Header, Value
from models.headers.kinds import FileKind, kind_by_keys, kind_of, predicts
from models.headers.reader import Reader

_WINDOW = 64 << 10
_REMEMBERED = 1024  # files


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


def kind_of_file(path: Path) -> FileKind:
    """What a local file is, mostly from its first kilobytes; one that cannot be read is taken for a model."""
    try:
        status = path.stat()
        return _kind_of_file(path, status.st_size, status.st_mtime_ns)
    except (OSError, BadFile):
        return FileKind.CHAT  # whoever wants to run it will hear what is wrong


@lru_cache(maxsize=_REMEMBERED)
def _kind_of_file(path: Path, _size: int, _written_ns: int) -> FileKind:
    """The same of a file as it was; a process that lasts looks at it once."""
    keys = _first_keys(path)
    return kind_of([read_header(path)]) if predicts(keys) else kind_by_keys(keys)


def _first_keys(path: Path) -> Mapping[str, Value]:
    """The keys in front of the first long array."""
    with path.open("rb", buffering=0) as file:
        reader = Reader(os.fstat(file.fileno()).st_size)
        while reader.header is None and not reader.skipping:
            start, _ = reader.wants
            file.seek(start)
            reader.feed(file.read(_WINDOW))
    return reader.keys
