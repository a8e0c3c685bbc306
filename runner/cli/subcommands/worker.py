"""`localrun worker`: lend this machine's devices to another localrun."""

from __future__ import annotations

from contextlib import closing

from models.errors import ExitCode, UsageError
from runner.cli.options import Options
from runner.cli.output import Output
from runner.client.devices import runtime
from runner.client.process import EngineProcess
from runner.hardware import host
from runner.storage.paths import paths
from runner.types.commands import Lend


def run(options: Options, output: Output) -> ExitCode:
    """Lend until it is stopped."""
    endpoint = options.listen or "127.0.0.1:50052"
    name, _, port = endpoint.rpartition(":")
    if not name or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"--listen wants host:port, not {endpoint!r}.")
    with closing(EngineProcess(paths().engine_log)) as engine:
        offered = [device.id for device in runtime(engine).devices]
        devices = options.wish.devices or tuple(one for one in offered if one != "CPU") or ("CPU",)
        output.warn(
            f"Lending {', '.join(devices)} at {endpoint}. Anybody who reaches that port can use them: "
            "llama.cpp's RPC has no password. Ctrl-C ends it."
        )
        engine.ask(Lend(endpoint, devices, host.cores()))
    return ExitCode.OK
