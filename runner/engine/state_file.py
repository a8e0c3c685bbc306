"""What a sequence's caches hold, as a file for a later engine with the same model. Edge: disk.

    magic | length of the header, 4 bytes | header | tokens, 4 bytes each | llama.cpp's bytes | those of each checkpoint
    | blake2b of all before

The header is JSON: whose state it is, how many tokens, how many bytes; of each checkpoint behind how many tokens it was
taken, and its bytes. llama.cpp's own file names neither the weights nor the tokens, and takes a changed byte for good;
this one is believed whole or not at all.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ctypes import Array, c_ubyte
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from runner.chat.template import common_prefix

_MAGIC, _LENGTH, _DIGEST = b"localrun state 2", struct.Struct("<I"), 32
STATE = ".state"
"""How the names of such files end."""
_START = len(_MAGIC) + _LENGTH.size
Cells = Array[c_ubyte]
Fill = Callable[[Cells], int]  # answers how many it filled


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What cannot be rolled back of a sequence's caches, as it was behind its first `count` tokens."""

    count: int
    state: Cells


@dataclass(frozen=True, slots=True)
class State:
    """The tokens of a sequence, llama.cpp's bytes of their caches, and checkpoints to go back to."""

    tokens: list[int]
    cells: Cells
    checkpoints: tuple[Checkpoint, ...] = ()


def write_state(
    path: Path, owner: str, tokens: Sequence[int], size: int, fill: Fill, checkpoints: Sequence[Checkpoint] = ()
) -> int:
    """Write it in place of what the file held, and say how many bytes it has; 0 if `fill` does not fill `size`.

    The bytes go from llama.cpp straight to the disk's pages. OSError as of the disk.
    """
    sizes = [(one.count, len(one.state)) for one in checkpoints]
    head = json.dumps({"owner": owner, "tokens": len(tokens), "bytes": size, "checkpoints": sizes}).encode()
    front = _MAGIC + _LENGTH.pack(len(head)) + head + array("i", tokens).tobytes()
    at = len(front) + size
    total = at + sum(len(one.state) for one in checkpoints) + _DIGEST
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with _mapped_new(fresh, total) as memory:
            memory[: len(front)] = front
            if fill((c_ubyte * size).from_buffer(memory, len(front))) != size:
                return 0
            for one in checkpoints:
                memory[at : at + len(one.state)] = one.state
                at += len(one.state)
            memory[-_DIGEST:] = _digest(memory)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    return total


def read_state(path: Path, owner: str) -> State | None:
    """The state in a file; None where there is none of this owner, or not a byte for byte whole one."""
    try:
        with path.open("rb") as file:
            return _state(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY), owner)  # ctypes wants it writable
    except (OSError, ValueError):  # an empty file cannot be mapped
        return None


def longest(folder: Path, owner: str, tokens: Sequence[int], least: int) -> Path | None:
    """The state in a folder that has the most of the beginning of `tokens`, and little else.

    None where each has less than `least` of them. Whether it is whole shows when it is read.
    """
    found = [(_of_use(path, owner, tokens), path) for path in folder.glob(f"*{STATE}")]
    count, path = max(found, default=(0, None))
    return path if count >= least else None


def _of_use(path: Path, owner: str, tokens: Sequence[int]) -> int:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
            front = _front(memory, owner)
    except (OSError, ValueError, KeyError, struct.error):
        return 0
    common = common_prefix(front[1], tokens) if front else 0
    return common if front and 2 * common > len(front[1]) else 0


def _front(memory: mmap.mmap, owner: str) -> tuple[dict[str, Any], list[int], int] | None:
    """(header, tokens, where they end) of a state of this owner."""
    if memory[: len(_MAGIC)] != _MAGIC:
        return None
    (length,) = _LENGTH.unpack_from(memory, len(_MAGIC))
    head = json.loads(memory[_START : _START + length])
    if head["owner"] != owner:
        return None
    tokens = array("i")
    end = _START + length + tokens.itemsize * head["tokens"]
    tokens.frombytes(memory[_START + length : end])
    return head, tokens.tolist(), end


def _state(memory: mmap.mmap, owner: str) -> State | None:
    if len(memory) < _START + _DIGEST or memory[-_DIGEST:] != _digest(memory):
        return None
    front = _front(memory, owner)
    if front is None:
        return None
    head, tokens, end = front
    cells = (c_ubyte * head["bytes"]).from_buffer(memory, end)
    return State(tokens, cells, tuple(_checkpoints(memory, end + len(cells), head["checkpoints"])))


def _checkpoints(memory: mmap.mmap, at: int, sizes: Sequence[tuple[int, int]]) -> Iterator[Checkpoint]:
    """In memory of their own: they stay when the file is gone."""
    for count, size in sizes:
        yield Checkpoint(count, (c_ubyte * size).from_buffer_copy(memory, at))
        at += size


@contextmanager
def _mapped_new(path: Path, size: int) -> Iterator[mmap.mmap]:
    """A new file of so many bytes as memory, for its owner only. Its blocks are there: a full disk is said at once."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600), "r+b") as file:
        _allocate(file.fileno(), size)
        with mmap.mmap(file.fileno(), size) as memory:
            yield memory


def _allocate(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    zeros = bytes(1 << 20)
    for start in range(0, size, len(zeros)):
        os.write(descriptor, zeros[: size - start])


def _digest(memory: mmap.mmap) -> bytes:
    with memoryview(memory) as view, view[:-_DIGEST] as content:
        return blake2b(content, digest_size=_DIGEST).digest()
