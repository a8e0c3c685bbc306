"""`localrun doctor`: what this machine has, what llama.cpp can use of it, and the command that closes the gap."""

from __future__ import annotations

import platform
import shlex
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from models.errors import ExitCode
from models.stores.cache import disk_free, weights_folder
from runner.build.decision import decide
from runner.build.routes import Lack
from runner.build.toolchain import detect
from runner.cli.options import Options
from runner.cli.output import Output
from runner.client.devices import runtime
from runner.client.process import EngineProcess
from runner.hardware import host, nvml
from runner.hardware.others import others
from runner.hardware.probe import devices_of
from runner.report.words import gib
from runner.storage.paths import paths
from runner.types.codec import pack
from runner.types.machine import Device, DeviceFacts, Holder, Kind, Runtime

_PACKAGES = ("localrun-llm", "llama-cpp-python", "huggingface-hub", "textual", "nvidia-ml-py")


@dataclass(frozen=True, slots=True)
class SeenGpu:
    """A GPU that a driver sees; `used_as` is llama.cpp's name for it, None if it cannot use it.

    `free` is what the driver says; `holders` are the programs of others with memory there.
    """

    name: str
    total: int
    used_as: str | None
    free: int
    holders: tuple[Holder, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """The findings. `fix` holds the commands that would let llama.cpp use what it cannot use now; bytes."""

    system: str
    cpu: str
    cores: int
    ram_total: int
    ram_available: int
    ram_limit: int | None
    weights_folder: str
    disk_free: int
    driver: str | None
    gpus: tuple[SeenGpu, ...]
    devices: tuple[DeviceFacts, ...]
    backends: tuple[str, ...]
    llama_cpp: str
    cpu_features: str
    versions: dict[str, str]
    fix: tuple[str, ...]
    lacks: tuple[Lack, ...]
    why: tuple[str, ...]


def run(options: Options, output: Output) -> ExitCode:
    """Print the findings."""
    log = paths().engine_log
    with closing(EngineProcess(log)) as engine:
        check = examine(engine, weights_folder())
    if options.json:
        output.json(pack(check))
    else:
        output.lines(lines(check, log))
    return ExitCode.OK


def examine(engine: EngineProcess, weights: Path) -> Check:
    """Look at everything; `weights` is the folder that downloads go to."""
    found = runtime(engine)
    memory = host.memory()
    driver = nvml.driver()
    decision = decide(detect(found.backends, usable_backends(found)))
    return Check(
        system=f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}",
        cpu=host.cpu_name(),
        cores=host.cores(),
        ram_total=memory.total,
        ram_available=memory.available,
        ram_limit=memory.limit,
        weights_folder=str(weights),
        disk_free=disk_free(weights),
        driver=_driver(driver) if driver else None,
        gpus=_seen(found),
        devices=found.devices,
        backends=found.backends,
        llama_cpp=found.version,
        cpu_features=found.system,
        versions={name: _version(name) for name in _PACKAGES},
        fix=tuple(shlex.join(command) for command in decision.commands),
        lacks=decision.lacks,
        why=decision.why,
    )


def usable_backends(found: Runtime) -> tuple[str, ...]:
    """Backends that have a device here."""
    return tuple(dict.fromkeys(device.backend for device in found.devices))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _driver(driver: nvml.Driver) -> str:
    cuda = f", CUDA {driver.cuda[0]}.{driver.cuda[1]}" if driver.cuda else ""
    return f"NVIDIA {driver.version}{cuda}"


def _seen(found: Runtime) -> tuple[SeenGpu, ...]:
    used = {device.uid: device for device in devices_of(found.devices) if device.kind is Kind.GPU}
    return tuple(_seen_gpu(gpu, used.get(gpu.uid)) for gpu in nvml.gpus())


def _seen_gpu(gpu: nvml.DriverGpu, used: Device | None) -> SeenGpu:
    return SeenGpu(gpu.name, gpu.total, used.id if used else None, gpu.free, others(used) if used else ())


def lines(check: Check, log: Path) -> list[str]:
    """The findings for people; `log` is the engine's."""
    limit = f", limited to {gib(check.ram_limit)} by the control group" if check.ram_limit else ""
    told = [
        f"system     {check.system}",
        f"CPU        {check.cpu or 'unknown'}, {check.cores} physical cores",
        f"RAM        {gib(check.ram_available)} available of {gib(check.ram_total)}{limit}",
        f"disk       {gib(check.disk_free)} free for weights in {check.weights_folder}",
        f"driver     {check.driver or 'no NVIDIA driver'}",
    ]
    for gpu in check.gpus:
        use = f"llama.cpp uses it as {gpu.used_as}" if gpu.used_as else "llama.cpp cannot use it"
        told.append(f"GPU        {gpu.name}, {gib(gpu.total)}, {gib(gpu.free)} free: {use}")
        told += [f"           {holder.claim}" for holder in gpu.holders]
    told += [
        f"llama.cpp  {check.llama_cpp}, built for {', '.join(check.backends)}",
        *(f"           {device.id}: {_device(device)}" for device in check.devices),
        f"versions   {', '.join(f'{name} {number}' for name, number in check.versions.items())}",
        f"log        {log}",
        "",
    ]
    told += [f"{lack.what}{f': {lack.fix}' if lack.fix else ''}" for lack in check.lacks]
    if check.fix:
        return [*told, *check.why, "To fix it, in a working copy run scripts/setup; elsewhere:", *check.fix]
    return [*told, "llama.cpp can use everything that was found here."] if not check.lacks else told


def _device(facts: DeviceFacts) -> str:
    return f"{facts.description}, {gib(facts.free)} free of {gib(facts.total)}"
