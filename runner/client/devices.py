"""What the engine process can compute on: its own list, and devices of other machines that are added to it."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from models.errors import DeviceLost, EngineError, EngineHung, UsageError
from runner.client.process import EngineProcess
from runner.types.commands import AddRpc, Devices
from runner.types.machine import Runtime

_RPC_PATIENCE_S = 3.0


def runtime(process: EngineProcess) -> Runtime:
    """What this llama.cpp can use."""
    return process.ask(Devices())


def joined(process: EngineProcess) -> tuple[str, ...]:
    """The endpoints whose devices are ours."""
    return tuple(command.endpoint for command in process.prepared if isinstance(command, AddRpc))


def add_rpc(process: EngineProcess, endpoints: Sequence[str]) -> None:
    """Make the devices at `host:port` ours. A port that does not answer would abort the engine: it is tried first."""
    for endpoint in endpoints:
        name, _, port = endpoint.rpartition(":")
        if not name or not port.isdigit():
            raise UsageError(f"--rpc wants host:port, not {endpoint!r}.")
        try:
            socket.create_connection((name.strip("[]"), int(port)), _RPC_PATIENCE_S).close()
        except (OSError, OverflowError):
            raise EngineError(f"No device answers at {endpoint}; start `localrun worker` there.") from None
        try:
            process.prepare(AddRpc(endpoint))
        except EngineHung:
            raise DeviceLost(f"Something listens at {endpoint} and does not answer as a worker does.") from None
