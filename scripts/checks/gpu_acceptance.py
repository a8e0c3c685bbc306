"""Hold the planner against a real GPU: planned with measured bytes, our placement with llama.cpp's --fit, and
predicted with measured speed, under several artificial limits of its memory. One JSON on stdout, progress on stderr.

Takes the installed llama.cpp if that can use the GPU, or a build of it (--llama-cpp), or builds one (--source, or the
package index). Models are files of random weights, a dense one and a mixture of experts, made on the spot. Both
placements run in the same engine at the same context and threads, each in a process of its own. Needs localrun's
packages, 7 GB of disk, and for a build CMake, a C++ compiler and nvcc.

    python -m scripts.checks.gpu_acceptance > acceptance.json          # a CUDA machine, under 8 minutes
    python -m scripts.checks.gpu_acceptance --dry-run                  # tiny models on a loopback device, no GPU needed
"""

import argparse
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from models.errors import EngineError, LocalrunError
from models.headers.reader import parse
from models.headers.shape import ModelShape, shape_of
from runner.client.devices import add_rpc, runtime
from runner.client.process import EngineProcess
from runner.client.session import EngineSession, load
from runner.cost.blocks import blocks_of
from runner.cost.forecast import predict
from runner.cost.layout import layout_of
from runner.cost.ledger import ledger, reserve, settings_of
from runner.hardware import host, nvml
from runner.report import contract
from runner.report.contract import Json
from runner.service import benchmark
from runner.service.service import LocalService
from runner.types.machine import Machine
from runner.types.plan import Candidate, Placement, Plan, Wish
from runner.types.sampling import Sampling
from scripts.checks import yardstick
from scripts.checks.acceptance_rows import Expected, Measured, Row, Run, row_json, sentence, summary
from scripts.environment import llama_build
from scripts.synthetic.random_weights import GEOMETRIES, header, write

QUANT = "Q4_K_M"
LIMITS = (0.5, 1.1, 0.25, 0.75)  # of what the whole model takes; the first ones matter most if time runs out
_TOKENS_AT_DEPTH = 64
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Model:
    """A file of random weights."""

    name: str
    path: Path
    shape: ModelShape


@dataclass(frozen=True, slots=True)
class Setup:
    """Where it all runs: a folder for logs, what all plans wish, llama-fit-params if there is one, runs per number."""

    folder: Path
    wish: Wish
    fit_params: Path | None
    runs: int


# ---- one row


def examine(there: Setup, model: Model, limit: int) -> Row:
    """Plan under the limit, then load and time our placement and --fit's. LocalrunError if there is no plan."""
    started = time.monotonic()
    wish = replace(there.wish, vram_limit=limit)
    plan, candidate = planned(model, wish)
    assert candidate.placement is not None and candidate.predicted is not None
    ours = Expected(candidate.placement, candidate.memory, candidate.predicted)
    if there.fit_params is None:
        fit = yardstick.by_rule(model.shape, ours.placement, plan.machine, wish)
    else:
        fit = yardstick.by_tool(there.fit_params, model.path, ours.placement, plan.machine, wish)
    return Row(
        model=model.name,
        vram_limit=limit,
        confirmed_by=candidate.confirmed_by.value,
        ours=run(there, model, plan, candidate, ours),
        fit=run(there, model, plan, candidate, expected(model.shape, plan.machine, fit)),
        fit_by="the rule of common/fit.cpp" if there.fit_params is None else there.fit_params.name,
        seconds=time.monotonic() - started,
    )


def planned(model: Model, wish: Wish) -> tuple[Plan, Candidate]:
    """The plan, with the machine as it is without the wish's limits, and the candidate that it takes."""
    backend = LocalService(note=say)
    try:
        plan = backend.plan(str(model.path), wish)
        return replace(plan, machine=backend.machine(wish)), plan.candidates[backend.chosen(plan)]
    finally:
        backend.close()


def expected(shape: ModelShape, machine: Machine, placement: Placement) -> Expected:
    """What our formulas say of any placement."""
    blocks = blocks_of(shape)
    by_id = {device.id: device for device in machine.devices}
    devices = tuple(by_id[name] for name in placement.devices)
    layout = layout_of(blocks, devices, placement.tensor_split, placement.overrides)
    speed = predict(blocks, layout, settings_of(placement), machine)
    return Expected(placement, ledger(shape, machine, placement), speed)


def run(there: Setup, model: Model, plan: Plan, candidate: Candidate, expected: Expected) -> Run:
    """Load a placement in a fresh process and time it; a failure is kept as a sentence."""
    before = used(plan.machine)
    child = EngineProcess(there.folder / "engine.log")
    try:
        add_rpc(child, there.wish.rpc)
        steps = load(child, plan, candidate, model.path, [expected.placement])
        (session,) = (step for step in steps if isinstance(step, EngineSession))
        speeds = benchmark.measure(session, there.runs)
        at_depth = decode_at(session, expected.speed.at_depth)
        taken = {device: size - before[device] for device, size in used(plan.machine).items()}
    except LocalrunError as error:
        return Run(expected, None, str(error))
    finally:
        child.close()
    loaded = session.loaded
    numbers = (speeds.decode_tps, at_depth, speeds.prefill_tps, loaded.load_s)
    return Run(expected, Measured(loaded.memory, taken, *numbers))


def decode_at(session: EngineSession, depth: int) -> float:
    """Tokens per second of decode around `depth`, or at the end of a shorter context."""
    prompt = min(depth, session.loaded.ctx) - _TOKENS_AT_DEPTH
    sampling = Sampling(temperature=0, max_tokens=_TOKENS_AT_DEPTH)
    *_, last = session.generate((), sampling, raw="The" + " a" * (prompt - 1), ignore_end=True, reuse=False)
    return last.decode_tps or 0.0


def used(machine: Machine) -> dict[str, int]:
    """Bytes in use by device, of those that NVIDIA's driver knows."""
    gpus = {gpu.uid: gpu.total - gpu.free for gpu in nvml.gpus()}
    return {device.id: gpus[device.uid] for device in machine.devices if device.uid in gpus}


# ---- all rows


def all_rows(
    there: Setup, models: Sequence[Model], shares: Sequence[float], deadline: float
) -> tuple[list[Row], list[str]]:
    """Every model under every limit while there is time, and sentences about what was left out."""
    rows: list[Row] = []
    left_out: list[str] = []
    whole = {model.name: needs(model, there.wish) for model in models}
    for share, model in ((share, model) for share in shares for model in models):
        name = f"{model.name} with {share:.0%} of the memory it takes"
        if time.monotonic() + max((row.seconds for row in rows), default=0) > deadline:
            left_out.append(f"{name}: no time was left.")
            continue
        kept, taken = whole[model.name]
        try:
            rows.append(examine(there, model, kept + int(share * taken)))
            say(sentence(rows[-1]))
        except LocalrunError as error:
            left_out.append(f"{name}: {error}")
            say(left_out[-1])
    return rows, left_out


def needs(model: Model, wish: Wish) -> tuple[int, int]:
    """Bytes of each device that stay free in any plan, and those that hold the whole model if devices share evenly."""
    plan, candidate = planned(model, wish)
    devices = [device for device in plan.machine.devices if device.id in (wish.devices or ())]
    taken = sum(row.weights + row.kv + row.compute for row in candidate.memory)
    return max(reserve(device, wish.margin) for device in devices), taken // len(devices)


# ---- what it runs on


@contextmanager
def loopback(folder: Path) -> Iterator[tuple[str, ...]]:
    """Lend this machine's CPU to itself: the endpoint of a device that takes layers as a GPU does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{probe.getsockname()[1]}"
    lender = EngineProcess(folder / "lender.log")

    def lend() -> None:
        with suppress(LocalrunError):  # it ends when the process does
            lender.ask("lend", endpoint=endpoint, devices=["CPU"], threads=1)

    threading.Thread(target=lend, daemon=True).start()
    try:
        _wait_for(endpoint)
        yield (endpoint,)
    finally:
        lender.close()


def _wait_for(endpoint: str) -> None:
    name, _, port = endpoint.partition(":")
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((name, int(port)), 1):
            return
        time.sleep(0.02)
    raise EngineError("The loopback device did not start.")


def devices_of(backend: str, folder: Path, rpc: Sequence[str] = ()) -> tuple[str, tuple[str, ...]]:
    """The engine's version, and its devices of one of ggml's backends (cuda, vulkan, rpc...)."""
    child = EngineProcess(folder / "engine.log")
    try:
        add_rpc(child, rpc)
        found = runtime(child)
    finally:
        child.close()
    return found.version, tuple(one.id for one in found.devices if one.backend.casefold().startswith(backend))


def programs_of(options: argparse.Namespace, folder: Path) -> Path | None:
    """See to an engine that can use the device; the folder with the programs of its build, if it has one."""
    if options.llama_cpp is not None:
        llama_build.use(options.llama_cpp)
        return Path(options.llama_cpp)
    if options.backend != "cuda" or (options.source is None and devices_of("cuda", folder)[1]):
        return None
    return llama_build.build(options.source or llama_build.download(folder / "sdist"), folder / "llama.cpp", say)


def fit_params_of(options: argparse.Namespace, programs: Path | None) -> Path | None:
    """llama-fit-params: the one given, or that of the build."""
    built = programs / "llama-fit-params" if programs else None
    return options.fit_params or (built if built and built.exists() else None)


def made(name: str, folder: Path) -> Model:
    """The model, written if it is not there yet."""
    geometry = GEOMETRIES[name]
    path = write(folder / f"{geometry.title}-{QUANT}.gguf", geometry, QUANT)
    say(f"{path.name}: {path.stat().st_size / 1e9:.3f} GB of random weights")
    return Model(name, path, shape_of([parse(header(geometry, QUANT))]))


def accept(options: argparse.Namespace, folder: Path) -> Json:
    """Everything, as one JSON value. LocalrunError where it cannot even begin."""
    started = time.monotonic()
    programs = programs_of(options, folder)
    with loopback(folder) if options.backend == "rpc" else nullcontext(()) as rpc:
        version, devices = devices_of(options.backend, folder, rpc)
        if not devices:
            raise EngineError(f"This llama.cpp has no {options.backend} device; scripts/setup may build one that has.")
        wish = Wish(options.ctx, "f16", threads=options.threads, devices=devices, rpc=rpc)
        wish = replace(wish, gpu_layers=options.gpu_layers)
        there = Setup(folder, wish, fit_params_of(options, programs), options.runs)
        models = [made(name, folder) for name in options.models]
        rows, left_out = all_rows(there, models, options.limits, started + options.budget)
        machine = planned(models[0], wish)[0].machine
    return {
        "llama_cpp": version,
        "backend": options.backend,
        "machine": contract.machine_json(machine),
        "models": {model.name: {"file_bytes": model.path.stat().st_size, "quant": QUANT} for model in models},
        "summary": summary(rows),
        "rows": [row_json(row) for row in rows],
        "left_out": left_out,
        "seconds": round(time.monotonic() - started, 1),
    }


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


# ---- the command line


def parsed(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="tiny models, three of five layers on a loopback device")
    parser.add_argument("--backend", default="cuda", help="ggml's: cuda (default), vulkan, ...; rpc is a loopback")
    parser.add_argument("--models", type=_names, default=("dense", "moe"), help=f"of: {','.join(GEOMETRIES)}")
    parser.add_argument("--limits", type=_shares, default=LIMITS, help="shares of what a model takes (%(default)s)")
    parser.add_argument("--ctx", type=_count, default=4096, help="(%(default)s)")
    parser.add_argument("--threads", type=_count, default=max(1, host.cores() - 1), help="(%(default)s)")
    parser.add_argument("--gpu-layers", type=_count, help="so many whole layers, instead of the planner's choice")
    parser.add_argument("--runs", type=_count, default=3, help="timed runs of a placement (%(default)s)")
    parser.add_argument("--budget", type=float, default=480, help="seconds; no row is begun that would not end in time")
    parser.add_argument("--folder", type=Path, help="keep weights, build and logs here (default: a temporary folder)")
    parser.add_argument("--llama-cpp", type=Path, metavar="DIR", help="the folder of a build's libllama and programs")
    parser.add_argument("--source", type=Path, help="an sdist of llama-cpp-python to build, where there is no network")
    parser.add_argument("--fit-params", type=Path, help="the program llama-fit-params, if it is elsewhere")
    options = parser.parse_args(words)
    if options.dry_run:
        dry = {"backend": "rpc", "models": ("tiny-dense", "tiny-moe"), "limits": (1.1,), "ctx": 768, "gpu_layers": 3}
        vars(options).update(dry)
    return options


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in GEOMETRIES]:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
    return names


def _shares(text: str) -> tuple[float, ...]:
    shares = tuple(float(part) for part in text.split(","))
    if min(shares) <= 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return shares


def _count(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return int(text)


def main() -> int:
    options = parsed()
    with tempfile.TemporaryDirectory(prefix="acceptance-") as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        for kind in ("CACHE", "DATA", "STATE", "CONFIG"):  # nobody's history decides here, and nobody's is written
            os.environ[f"XDG_{kind}_HOME"] = str(folder / "home")
        try:
            said = accept(options, folder)
        except LocalrunError as error:
            say(str(error))
            return error.exit_code
    print(json.dumps(said, indent=1))
    return 0 if said["rows"] and not said["summary"]["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
