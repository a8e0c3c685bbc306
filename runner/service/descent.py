"""A candidate is loaded; where memory runs out, the machine is looked at afresh and something smaller is loaded."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import replace

from models.errors import DeviceLost, DoesNotFit, EngineError, EngineKilled, OutOfMemory, OutOfRam
from models.names.resolve import split_quant
from models.stores.unchanged import check_unchanged
from models.weights import WeightSet
from runner.client.process import EngineProcess
from runner.client.session import Running
from runner.client.spawn import offload_setting
from runner.client.watch import loading
from runner.cost.ledger import host_reserve, reserve
from runner.hardware import host
from runner.hardware.others import others
from runner.planning.fallback import MOST_LOADS, Question, next_lower
from runner.report import fallback
from runner.service.machines import Machines
from runner.service.studies import companion_of, studied_set, study_of, weights_of
from runner.types.commands import Load, Unload
from runner.types.engine import LoadProgress
from runner.types.fallback import Exhausted, FellBack, Lower, Shrunk, Tried
from runner.types.machine import Device, Machine
from runner.types.pipe import reply_behind
from runner.types.placement import Placement
from runner.types.plan import Candidate, Plan
from runner.types.study import Study
from runner.types.units import MIB
from runner.types.wish import Wish

_NOTICED = 256 * MIB  # less of a difference comes and goes with any program
_NAMED = 3  # programs that hold most of a device

Planner = Callable[[Study, Machine, Wish], Plan]


class Descent:
    """The loads of one candidate of a plan, each by less than the one before, for as long as memory runs out."""

    def __init__(self, engine: EngineProcess, machines: Machines, planner: Planner, plan: Plan, index: int) -> None:
        self._engine, self._machines, self._planner = engine, machines, planner
        self._plan, self._index = plan, index
        self._counted_on = plan.machine
        self._tried: list[Tried] = []
        self._lower: Lower | None = None
        self._again: str | None = None  # what is said of a fresh engine
        quant = plan.wish.quant or split_quant(study_of(plan).name)[1]
        self._is_asked = quant is not None or index != plan.chosen

    def load(self) -> Generator[LoadProgress, None, Running]:
        """Load it, or something smaller: then `loaded.notes` says so. DoesNotFit where nothing can be loaded.

        Only failures for want of memory lead down; every other error is raised.
        """
        running = yield from self._loads()
        return self._told(running, answering=False)

    def resume(self, error: EngineError, least_ctx: int) -> Running:
        """Load again after an error: something smaller where memory ran out in the midst of an answer; as `load`."""
        if isinstance(error, OutOfMemory):
            self._fall(error, least_ctx)
        else:
            self._begin_again(error)
        return self._told(reply_behind(self._loads(least_ctx)), answering=True)

    def settled(self) -> None:
        """What is loaded has answered: where memory runs out later, that is another story."""
        self._tried.clear()
        self._lower = self._again = None
        self._counted_on = self._plan.machine

    def _loads(self, least_ctx: int = 0) -> Generator[LoadProgress, None, Running]:
        while True:
            candidate, weights = self._plan.candidates[self._index], weights_of(self._plan, self._index)
            companion = companion_of(self._plan, self._index)
            assert candidate.placement is not None  # what does not run is no rung
            read = [weights, *([companion] if companion else [])]
            for one in read:
                check_unchanged(one)
            try:
                self._engine.need(offload_setting(candidate.placement))
                placement = _located(candidate.placement, companion)
                load = Load(str(weights.files[0].path), placement)
                loaded = yield from self._engine.stream(load, loading(_layer_bytes(candidate)))
                for one in read:
                    check_unchanged(one)  # what came while it was read is no better
                return Running(self._plan, candidate, candidate.placement, loaded)
            except (OutOfMemory, EngineKilled) as error:
                self._fall(error, least_ctx)

    def _fall(self, error: EngineError, least_ctx: int) -> None:
        """Decide what to load after this failure, on the machine as it is by now. DoesNotFit."""
        failed = self._plan.candidates[self._index]
        self._tried.append(Tried(failed, on_host=isinstance(error, EngineKilled | OutOfRam)))
        self._empty()
        self._plan = replace(self._plan, machine=self._machines.again())
        self._lower = self._next(least_ctx) if len(self._tried) < MOST_LOADS else None
        if self._lower is None:
            raise DoesNotFit(fallback.exhausted(self._exhausted())) from error
        candidates = list(self._plan.candidates)
        candidates[self._lower.index] = self._lower.candidate
        self._index = self._lower.index
        self._plan = replace(self._plan, candidates=tuple(candidates), chosen=self._index)

    def _begin_again(self, error: EngineError) -> None:
        """The same in a fresh engine; planned anew where a device is gone, or was lost and may be another by now."""
        self.settled()
        self._engine.restart()
        before, machine = self._plan.machine, self._machines.again()
        lost = dict.fromkeys(map(_owner, before.devices)).keys() - set(map(_owner, machine.devices))
        candidate = self._plan.candidates[self._index]
        if lost or isinstance(error, DeviceLost):
            candidate = self._planned(Question(self._index, machine, self._plan.wish))
        if candidate.placement is None:
            raise DoesNotFit(fallback.left_over(candidate, sorted(lost))) from error
        candidates = list(self._plan.candidates)
        candidates[self._index] = candidate
        self._plan = replace(self._plan, machine=machine, candidates=tuple(candidates))
        self._again = fallback.began_again(candidate, sorted(lost))

    def _empty(self) -> None:
        """An engine without a model, so that what is free can be seen."""
        if self._engine.is_alive():
            with suppress(EngineError):
                self._engine.ask(Unload())
        if not self._engine.is_alive():
            self._engine.restart()

    def _next(self, least_ctx: int) -> Lower | None:
        asked = Question(self._index, self._plan.machine, self._plan.wish)
        return next_lower(self._tried, asked, self._smaller(), self._planned, least_ctx)

    def _smaller(self) -> int | None:
        """The next quantization whose files are here, unless this one was asked for."""
        sizes = {index: one.file_bytes for index, one in enumerate(self._plan.candidates)}
        lesser = [index for index, size in sizes.items() if size < sizes[self._index]]
        here = [index for index in lesser if weights_of(self._plan, index).is_here]
        return max(here, key=sizes.__getitem__) if here and not self._is_asked else None

    def _planned(self, question: Question) -> Candidate:
        """One candidate, planned anew."""
        study = replace(study_of(self._plan), sets=(studied_set(self._plan, question.index),))
        return self._planner(study, question.machine, question.wish).candidates[0]

    # ---- what is said

    def _told(self, running: Running, *, answering: bool) -> Running:
        sentences = [self._again] if self._again else []
        if self._lower is not None:
            what = FellBack(self._tried[0].candidate, self._lower, self._plan.machine, self._shrunk(), answering)
            sentences.append(fallback.fell_back(what))
        notes = (*running.loaded.notes, *sentences)
        return replace(running, loaded=replace(running.loaded, notes=notes))

    def _shrunk(self) -> tuple[Shrunk, ...]:
        """Where less is free than was counted on, and too little for the first placement."""
        machine, counted_on = self._plan.machine, self._counted_on
        needed = {row.device: row.total for row in self._tried[0].candidate.memory}
        was = {device.id: device.free for device in counted_on.devices}
        shrunk = [
            Shrunk(device.id, was.get(device.id, 0), device.free, others(device)[:_NAMED])
            for device in machine.devices
            if needed.get(device.id, 0) + self._kept(device) > device.free
        ]
        if needed["CPU"] + host_reserve(machine) > machine.ram_available:
            shrunk.append(Shrunk("CPU", counted_on.ram_available, machine.ram_available))
        return tuple(one for one in shrunk if one.was - one.now > _NOTICED)

    def _kept(self, device: Device) -> int:
        return reserve(device, self._plan.wish.margin)

    def _exhausted(self) -> Exhausted:
        machine = self._plan.machine
        used = {row.device for row in self._tried[-1].candidate.memory}
        kept = sum(min(one.free, self._kept(one)) for one in machine.devices if one.id in used)
        kept += min(machine.ram_available, host_reserve(machine))
        tried = tuple(one.candidate for one in self._tried)
        return Exhausted(tried, machine, self._shrunk(), kept, host.address_limit())


def _located(placement: Placement, companion: WeightSet | None) -> Placement:
    """With the path of the small model that guesses, which a plan knows by its file's name."""
    if placement.companion is None or companion is None:
        return placement
    return replace(placement, companion=replace(placement.companion, path=str(companion.files[0].path)))


def _layer_bytes(candidate: Candidate) -> float:
    """What a layer on a device takes, with its caches."""
    held = sum(row.held for row in candidate.memory if row.device != "CPU")
    return held / max(1, candidate.placement.gpu_layers if candidate.placement else 0)


def _owner(device: Device) -> str:
    """A device of ours by its id, another machine's by what that is called: numbers change when one is gone."""
    return device.lent.called if device.lent else device.id
