"""The devices of this llama.cpp, by ggml's names and handles; those of other machines are added, ours are lent."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import POINTER, Structure, addressof, byref, c_bool, c_char_p, c_int, c_size_t, c_void_p

from models.errors import EngineError, UsageError
from runner.engine.llama import ggml
from runner.types.machine import DeviceFacts, Kind

_KINDS = {0: Kind.CPU, 1: Kind.GPU, 2: Kind.IGPU}


class _Props(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("description", c_char_p),
        ("memory_free", c_size_t),
        ("memory_total", c_size_t),
        ("type", c_int),
        ("device_id", c_char_p),
        ("async_", c_bool),
        ("host_buffer", c_bool),
        ("buffer_from_host_ptr", c_bool),
        ("events", c_bool),
        ("mmap_support", c_bool),
    ]


_dev_count = ggml("ggml_backend_dev_count", c_size_t)
_dev_get = ggml("ggml_backend_dev_get", c_void_p, c_size_t)
_dev_props = ggml("ggml_backend_dev_get_props", None, c_void_p, POINTER(_Props))
device_name = ggml("ggml_backend_dev_name", c_char_p, c_void_p)
_dev_reg = ggml("ggml_backend_dev_backend_reg", c_void_p, c_void_p)
_dev_buft = ggml("ggml_backend_dev_buffer_type", c_void_p, c_void_p)
_dev_by_type = ggml("ggml_backend_dev_by_type", c_void_p, c_int)
_reg_name = ggml("ggml_backend_reg_name", c_char_p, c_void_p)
_reg_count = ggml("ggml_backend_reg_count", c_size_t)
_reg_get = ggml("ggml_backend_reg_get", c_void_p, c_size_t)
_register = ggml("ggml_backend_register", None, c_void_p)


def devices() -> tuple[DeviceFacts, ...]:
    """All devices but accelerators of the CPU, in ggml's order, the CPU included."""
    return tuple(facts for handle in _handles() if (facts := _facts(handle)) is not None)


def _handles() -> list[int]:
    return [_dev_get(index) for index in range(_dev_count())]


def _facts(handle: int) -> DeviceFacts | None:
    props = _Props()
    _dev_props(handle, byref(props))
    backend = _reg_name(_dev_reg(handle)).decode()
    kind = Kind.RPC if backend.startswith("RPC") else _KINDS.get(props.type)
    if kind is None:
        return None
    return DeviceFacts(
        id=props.name.decode(),
        description=props.description.decode("utf-8", "replace"),
        kind=kind,
        backend=backend,
        total=props.memory_total,
        free=props.memory_free,
        uid=props.device_id.decode().lower() if props.device_id else None,
        has_host_buffer=props.host_buffer,
    )


def backends() -> tuple[str, ...]:
    """Names of the compiled backends."""
    return tuple(_reg_name(_reg_get(index)).decode() for index in range(_reg_count()))


def add_rpc(endpoint: str) -> None:
    """Register the devices of the RPC server at `host:port`. The port must answer: a closed one aborts."""
    add = ggml("ggml_backend_rpc_add_server", c_void_p, c_char_p)
    registry = add(endpoint.encode())
    if not registry:
        raise EngineError(f"The devices at {endpoint} could not be added.")
    _register(registry)


def serve_rpc(endpoint: str, ids: Sequence[str], threads: int, keeps: str | None = None) -> None:
    """Lend the devices `ids` (repeats allowed) at `host:port`; blocks for ever, and returns where it cannot listen.

    `keeps`: a folder for large tensors that were sent.
    """
    serve = ggml("ggml_backend_rpc_start_server", None, c_char_p, c_char_p, c_size_t, c_size_t, c_void_p)
    handles = (c_void_p * len(ids))(*(device_handle(name) for name in ids))
    serve(endpoint.encode(), None if keeps is None else keeps.encode(), threads, len(ids), addressof(handles))


def device_handle(name: str) -> int:
    """ggml's own handle of a device."""
    for handle in _handles():
        if device_name(handle).decode() == name:
            return handle
    raise UsageError(f"llama.cpp has no device {name} here; it has {', '.join(d.id for d in devices())}.")


def buffer_type(device: str) -> int:
    """Handle of the buffers of a device; `CPU` lets llama.cpp pick among those of the host."""
    return int(_dev_buft(_dev_by_type(0) if device == "CPU" else device_handle(device)))
