"""One model: planned, then every variant of its placement loaded and asked, while there is time."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from models.errors import LocalrunError
from models.headers.gguf import Header
from models.headers.reader import parse
from models.headers.shape import ModelShape, shape_of
from runner.client.devices import add_rpc
from runner.client.process import EngineProcess
from runner.client.session import EngineSession, Running
from runner.cost.laid_out import laid_out
from runner.hardware import nvml
from runner.service.service import LocalService
from runner.types.commands import Load
from runner.types.machine import Machine
from runner.types.placement import Placement
from runner.types.plan import Candidate, Plan
from runner.types.wish import Wish
from scripts.checks.acceptance import yardstick
from scripts.checks.acceptance.asking import Asked, patience, request, seconds_for, warm_up
from scripts.checks.acceptance.cases import CASES, Case
from scripts.checks.acceptance.rows import Expected, Held, Request, Row, Speeds
from scripts.checks.acceptance.variants import Subject, Variant, placement_of
from scripts.synthetic.random_weights import GEOMETRIES, header, write

_CHUNK = 16 << 20


@dataclass(frozen=True, slots=True)
class Setup:
    """Where it all runs: a folder for weights and logs, what all plans wish, llama-fit-params if there is one.

    `answer` tokens are decoded behind each prompt; a placement is given up after `patience` seconds, and none is begun
    that would not end by `deadline` (of time.monotonic).
    """

    folder: Path
    wish: Wish
    fit_params: Path | None
    answer: int
    patience: float
    deadline: float


@dataclass(frozen=True, slots=True)
class Model:
    """A file of random weights."""

    name: str
    path: Path
    header: Header
    shape: ModelShape


@dataclass(frozen=True, slots=True)
class Examined:
    """A model with its plan; the machine is as it was without the wish's limits."""

    model: Model
    plan: Plan
    candidate: Candidate
    placement: Placement

    @property
    def machine(self) -> Machine:
        """Where all of it runs."""
        return self.plan.machine


def made(case: Case, folder: Path) -> Model:
    """The model, written if it is not there yet, and read once: no placement pays for being the first to load it."""
    geometry = GEOMETRIES[case.model]
    path = write(folder / f"{geometry.title}-{case.quant}.gguf", geometry, case.quant, sparse=True)
    with path.open("rb", buffering=0) as file:
        buffer = bytearray(_CHUNK)
        while file.readinto(buffer):
            pass
    known = parse(header(geometry, case.quant))
    return Model(f"{case.model} {case.quant}", path, known, shape_of([known]))


def planned(model: Model, wish: Wish) -> Examined:
    """The plan, and the candidate that it takes. LocalrunError where there is none."""
    backend = LocalService(note=say)
    try:
        plan = backend.plan(str(model.path), wish)
        candidate = plan.candidates[backend.chosen(plan)]
        plan = replace(plan, machine=backend.machine(wish))
    finally:
        backend.close()
    assert candidate.placement is not None
    return Examined(model, plan, candidate, candidate.placement)


def expected(there: Examined, placement: Placement, asked: Asked) -> Expected:
    """What our formulas say of any placement; of the planner's own what llama.cpp said in its rehearsal."""
    laid = laid_out(there.model.shape, there.machine, placement)
    memory = there.candidate.memory if placement == there.placement else laid.ledger()
    speeds = laid.speeds()
    requests = {
        prompt: Speeds(speeds.prefill_tps(prompt), speeds.decode_tps(prompt + asked.answer // 2))
        for prompt in asked.prompts
    }
    return Expected(placement, memory, speeds.predicted(), requests)


def rows_of(setup: Setup, name: str, there: Examined, variants: Sequence[Variant]) -> Iterator[Row]:
    """A row for every variant of a case that there is time for, as each is done."""
    case, model = CASES[name], there.model
    asked = Asked(case.prompts, setup.answer)
    subject = Subject(model.shape, there.machine, wish_of(setup, case), there.placement)
    done: list[Placement] = []
    for variant in variants:
        try:
            placement = placement_of(variant, subject, partial(_fitted, setup, model, subject))
        except LocalrunError as error:
            say(f"{name}, {variant}: {error}")
            continue
        if any(_runs_alike(placement, other) for other in done):
            say(f"{name}, {variant}: that is a placement which was measured already.")
            continue
        done.append(placement)
        row = Row(name, model.name, case.limit, str(variant), expected(there, placement, asked))
        if time.monotonic() + seconds_for(row.expected, asked, model.path.stat().st_size) > setup.deadline:
            say(f"{name}, {variant}: no time was left.")
        else:
            yield run(setup, there, row, asked)


def wish_of(setup: Setup, case: Case) -> Wish:
    """What a case wishes of the planner."""
    return replace(setup.wish, ctx=case.ctx, vram_limit=case.limit)


def _fitted(setup: Setup, model: Model, subject: Subject, plain: Placement) -> Placement:
    """What --fit does at this context and ubatch."""
    if setup.fit_params is None:
        return yardstick.by_rule(model.shape, plain, subject.machine, subject.wish)
    return yardstick.by_tool(setup.fit_params, model.path, plain, subject.machine, subject.wish)


def _runs_alike(one: Placement, other: Placement) -> bool:
    """Whether two placements differ in nothing that a model which is wholly on devices would feel."""
    is_whole = one.gpu_layers == one.layers_total and not one.overrides
    return one == (replace(other, load_mode=one.load_mode, threads=one.threads) if is_whole else other)


def run(setup: Setup, there: Examined, row: Row, asked: Asked) -> Row:
    """Load a placement in a fresh process and ask; what a failure leaves is kept, with a sentence."""
    before, vocabulary = used(there.machine), there.model.shape.vocabulary
    child = EngineProcess(setup.folder / "engine.log")
    held, requests = None, list[Request]()
    try:
        with patience(child, min(setup.patience, setup.deadline - time.monotonic())):
            add_rpc(child, setup.wish.rpc)
            placement = row.expected.placement
            loaded = child.ask(Load(str(there.model.path), placement))
            session = EngineSession(child, Running(there.plan, there.candidate, placement, loaded))
            warm_up(session, vocabulary)
            taken = {device: size - before[device] for device, size in used(there.machine).items()}
            held = Held(loaded.held, taken, loaded.load_s)
            for tokens in asked.prompts:
                requests.append(request(session, vocabulary, tokens, asked.answer))
    except LocalrunError as error:
        row = replace(row, failure=str(error))
    finally:
        child.close()
    return replace(row, held=held, requests=tuple(requests))


def used(machine: Machine) -> dict[str, int]:
    """Bytes in use by device, of those that NVIDIA's driver knows."""
    gpus = {gpu.uid: gpu.total - gpu.free for gpu in nvml.gpus()}
    return {device.id: gpus[device.uid] for device in machine.devices if device.uid in gpus}


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)
