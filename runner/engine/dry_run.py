"""Rehearsals, in the child: what llama.cpp would allocate, and loopback devices for hardware that is not here.

A stand-in gives a rehearsal the device count and the layer split of the other machine; nothing is computed on it.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from models.errors import EngineError
from runner.engine import llama
from runner.engine.model import Context, Model
from runner.types.machine import Kind
from runner.types.plan import Placement

_running: list[str] = []


def start_standins(count: int) -> tuple[str, ...]:
    """Ids of `count` stand-ins; started once and kept."""
    while len(_running) < count:
        _running.append(_one_more())
    return tuple(_running[:count])


def standins() -> tuple[str, ...]:
    """Ids of those that run: no hardware of this machine."""
    return tuple(_running)


def _one_more() -> str:
    known = {device.id for device in llama.devices()}
    endpoint = f"127.0.0.1:{_free_port()}"
    threading.Thread(target=llama.serve_rpc, args=(endpoint, ["CPU"], 1), daemon=True).start()
    _wait_for(endpoint)
    llama.add_rpc(endpoint)
    (new,) = (device.id for device in llama.devices() if device.id not in known and device.kind is Kind.RPC)
    return new


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(endpoint: str, seconds: float = 5.0) -> None:
    """Return when the server answers: llama.cpp aborts on a closed port."""
    host, _, port = endpoint.rpartition(":")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            time.sleep(0.005)
        else:
            return
    raise EngineError("The loopback device for the rehearsal did not start.")


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What one placement would take; `buffers` is None where cpp refuses it, and `refusal` says why."""

    buffers: tuple[llama.BufferBytes, ...] | None
    refusal: str | None = None


def rehearse(path: str, placements: Sequence[Placement]) -> tuple[Rehearsal, ...]:
    """Bytes of every placement of the file at `path` (its header is enough), without allocating.

    One load serves neighbours that differ in nothing but context, KV type, ubatch and outputs.
    """
    results: list[Rehearsal] = []
    model: Model | None = None
    loaded: tuple[object, ...] | None = None
    try:
        for placement in placements:
            wanted = (placement.devices, placement.gpu_layers, placement.tensor_split, placement.overrides)
            if model is None or wanted != loaded:
                if model is not None:
                    model.close()
                model, loaded = Model(path, placement, rehearse=True), wanted
            results.append(_rehearse_context(model, placement))
    finally:
        if model is not None:
            model.close()
    return tuple(results)


def _rehearse_context(model: Model, placement: Placement) -> Rehearsal:
    try:
        context = Context(model, placement)
    except EngineError as error:
        return Rehearsal(None, str(error))
    try:
        return Rehearsal(context.breakdown())
    finally:
        context.close()
