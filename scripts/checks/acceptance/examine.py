"""One model under one limit: planned, then our placement and that of --fit loaded and timed; and so for all of them."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models.errors import LocalrunError
from models.headers.reader import parse
from models.headers.shape import ModelShape, shape_of
from runner.client.devices import add_rpc
from runner.client.process import EngineProcess
from runner.client.session import EngineSession, Running
from runner.cost.blocks import blocks_of
from runner.cost.forecast import predict
from runner.cost.ledger import reserve
from runner.hardware import nvml
from runner.service import benchmark
from runner.service.service import LocalService
from runner.types.commands import Load
from runner.types.machine import Machine
from runner.types.placement import Placement
from runner.types.plan import Candidate, Plan
from runner.types.sampling import Sampling
from runner.types.wish import Wish
from scripts.checks.acceptance import yardstick
from scripts.checks.acceptance.rows import Expected, Measured, Row, Run, sentence
from scripts.checks.placed import layout_of, ledger, settings_of
from scripts.synthetic.random_weights import GEOMETRIES, header, write

QUANT = "Q4_K_M"
_TOKENS_AT_DEPTH = 64


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


def made(name: str, folder: Path) -> Model:
    """The model, written if it is not there yet."""
    geometry = GEOMETRIES[name]
    path = write(folder / f"{geometry.title}-{QUANT}.gguf", geometry, QUANT)
    say(f"{path.name}: {path.stat().st_size / 1e9:.3f} GB of random weights")
    return Model(name, path, shape_of([parse(header(geometry, QUANT))]))


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
    pinned = placement.load_mode == "none"
    speed = predict(blocks, layout, settings_of(placement), machine, pinned=pinned)
    return Expected(placement, ledger(shape, machine, placement), speed)


def run(there: Setup, model: Model, plan: Plan, candidate: Candidate, expected: Expected) -> Run:
    """Load a placement in a fresh process and time it; a failure is kept as a sentence."""
    before = used(plan.machine)
    child = EngineProcess(there.folder / "engine.log")
    try:
        add_rpc(child, there.wish.rpc)
        placement = expected.placement
        loaded = child.ask(Load(str(model.path), placement))
        session = EngineSession(child, Running(plan, candidate, placement, loaded))
        speeds = benchmark.measure(session, there.runs)
        at_depth = decode_at(session, expected.speed.at_depth)
        taken = {device: size - before[device] for device, size in used(plan.machine).items()}
    except LocalrunError as error:
        return Run(expected, None, str(error))
    finally:
        child.close()
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
    taken = sum(row.held for row in candidate.memory)
    return max(reserve(device, wish.margin) for device in devices), taken // len(devices)


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)
