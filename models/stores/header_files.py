"""The headers of files on this machine. Edge: the disk, read only."""

import os
from pathlib import Path

from models.errors import BadFile
from models.headers.gguf import Header
from models.headers.reader import Reader


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
