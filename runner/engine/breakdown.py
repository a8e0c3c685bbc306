"""Where llama.cpp put a model's bytes, from its own table of buffers."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from ctypes import Structure, c_bool, c_char_p, c_uint64, c_void_p
from dataclasses import replace
from typing import Any

from models.errors import EngineError
from runner.engine.devices import device_name
from runner.engine.llama import ggml
from runner.engine.reserved import reserved
from runner.types.engine import ComponentBytes
from runner.types.placement import Placement, SplitMode

_buffer_name = ggml("ggml_backend_buft_name", c_char_p, c_void_p)
_buffer_device = ggml("ggml_backend_buft_get_device", c_void_p, c_void_p)
_buffer_is_host = ggml("ggml_backend_buft_is_host", c_bool, c_void_p)


def breakdown(context: Any) -> tuple[ComponentBytes, ...]:
    """Bytes by device, everything in host memory under `CPU`, which comes last.

    EngineError where this build does not tell.
    """
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    buffers = reserved(context)
    for buffer, weights, kv, compute in _rows(context):
        held, sizes = sums[_device_of(buffer)], (weights, kv, buffers.get(buffer, compute))
        held[:] = map(sum, zip(held, sizes, strict=True))
    names = [*sorted(sums.keys() - {"CPU"}), "CPU"]
    return tuple(ComponentBytes(name, *sums[name]) for name in names)


def _device_of(buffer: int) -> str:
    name, device = _buffer_name(buffer).decode(), _buffer_device(buffer)
    on_host = not device or _buffer_is_host(buffer) or name.startswith("CPU") or name.endswith("_Host")
    return "CPU" if on_host else str(device_name(device).decode())


def on_each(memory: Sequence[ComponentBytes], placement: Placement) -> tuple[ComponentBytes, ...]:
    """Of a loaded model in split mode `tensor`, whose devices are one to llama.cpp: that one's bytes for each of them.

    They are those of the device with most (ggml-backend-meta.cpp: ggml_backend_meta_alloc_ctx_tensors_from_buft).
    """
    if placement.split_mode is SplitMode.LAYER:
        return tuple(memory)
    *together, host = memory
    return (*(replace(row, device=device) for row in together for device in placement.devices), host)


class _Map(Structure):
    """std::map: libstdc++ has 48 bytes with the root at +16 and the count at +40, libc++ 24 with root +8, count +16."""

    _fields_ = [("words", c_uint64 * 6)]


def _rows(context: Any) -> list[tuple[int, int, int, int]]:
    """(buffer type, weights, KV, compute) of each entry: an in-order walk of the tree that C++ returns."""
    apple = sys.platform == "darwin"
    root, count, left, right, key = (1, 2, 0, 8, 32) if apple else (2, 5, 16, 24, 32)
    try:
        table = ggml("_Z26llama_get_memory_breakdownPK13llama_context", _Map, c_void_p)(context)
    except AttributeError as error:
        raise EngineError("This build of llama.cpp does not tell its memory breakdown.") from error
    rows: list[tuple[int, int, int, int]] = []

    def walk(node: int) -> None:
        if node:
            walk(_word(node + left))
            rows.append((_word(node + key), _word(node + key + 8), _word(node + key + 16), _word(node + key + 24)))
            walk(_word(node + right))

    walk(table.words[root])
    if len(rows) != table.words[count]:
        raise EngineError("The memory breakdown of this llama.cpp has another layout.")
    return rows


def _word(address: int) -> int:
    return int(c_uint64.from_address(address).value)
