"""Compute buffers of a rehearsed context as a load will have them.

llama.cpp lays its first graph out a second time to tell their sizes, and forgets there which device the graph's builder
gave some operations to (ggml-backend.cpp: ggml_backend_sched_reserve_size, ggml_backend_sched_reset): the norm that
begins a layer is then computed by the device of the layer before. The last graph that a context lays out is like the
first one, with nothing forgotten; its sizes are asked for here.
"""

from __future__ import annotations

from contextlib import suppress
from ctypes import Structure, c_bool, c_int, c_size_t, c_void_p, sizeof
from typing import Any

from runner.engine.llama import ggml

_MOST = 16  # GGML_SCHED_MAX_BACKENDS


class _Scheduler(Structure):
    """How ggml_backend_sched begins (ggml-backend.cpp); behind this is the graph as it was laid out."""

    _fields_ = [
        ("flags", c_bool * 2),
        ("count", c_int),
        ("backends", c_void_p * _MOST),
        ("buffers", c_void_p * _MOST),
        ("allocator", c_void_p),
        ("tensors", c_size_t * 5),
        ("nodes", c_void_p),
        ("leaves", c_void_p),
        ("before", c_void_p * 2),
    ]


def reserved(context: Any) -> dict[int, int]:
    """Bytes by buffer type. Nothing for a context that is no rehearsal, or of another llama.cpp: its own are right."""
    with suppress(AttributeError):
        return _sizes(ggml("_ZNK13llama_context9get_schedEv", c_void_p, c_void_p)(context))
    return {}


def _sizes(scheduler: int) -> dict[int, int]:
    held = ggml("ggml_backend_sched_get_buffer_size", c_size_t, c_void_p, c_void_p)
    measure = ggml("ggml_gallocr_reserve_n_size", None, *[c_void_p] * 5)
    backends, buffers = _backends(scheduler)
    found = _Scheduler.from_address(scheduler)
    if [*found.backends[: found.count]] != backends or [*found.buffers[: found.count]] != buffers:
        return {}
    if any(held(scheduler, backend) for backend in backends):
        return {}
    sizes = (c_size_t * len(buffers))()
    measure(found.allocator, scheduler + sizeof(_Scheduler), found.nodes, found.leaves, sizes)
    return dict(zip(buffers, sizes, strict=True))


def _backends(scheduler: int) -> tuple[list[int], list[int]]:
    """What computes, and where each puts what it computes."""
    count = ggml("ggml_backend_sched_get_n_backends", c_int, c_void_p)
    backend = ggml("ggml_backend_sched_get_backend", c_void_p, c_void_p, c_int)
    buffer = ggml("ggml_backend_sched_get_buffer_type", c_void_p, c_void_p, c_void_p)
    backends = [backend(scheduler, index) for index in range(count(scheduler))]
    return backends, [buffer(scheduler, one) for one in backends]
