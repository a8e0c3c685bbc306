"""Everything behind a front end: from a name to a plan, to files, to a loaded model. Every front end uses this one.

The engine process is started at once, so that its start overlaps with reading headers; plan, rehearsal and load
share it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from models import catalog, local
from models.candidates import ReadSet, candidates
from models.describe import Description, describe
from models.errors import DoesNotFit, EngineError, LocalrunError
from models.fetch import fetch
from models.remote import read_headers
from models.resolve import Query, resolve
from models.shape import ModelShape, shape_of
from models.weights import Offer, Progress, WeightFile, WeightSet
from runner import advice, history
from runner.choose import Option, choose
from runner.events import Chunk, LoadProgress
from runner.hardware import parse_hardware
from runner.machine import Machine
from runner.paths import paths
from runner.placement import place
from runner.plan import Candidate, Placement, Plan, Verdict, Wish
from runner.probe import add_rpc, probe
from runner.rehearse import rehearsals, stage_for
from runner.session import Session, load
from runner.spawn import Child
from runner.units import MIB

Note = Callable[[str], None]
_MARGINS = (1024 * MIB, 2048 * MIB, 4096 * MIB)  # what each lower rung of the ladder leaves free in addition


@dataclass(frozen=True, slots=True)
class Study:
    """What is known about a model: the offer, and each set of weights with its headers and shape."""

    offer: Offer
    sets: tuple[tuple[ReadSet, ModelShape], ...]
    notes: tuple[str, ...]
    fetched_bytes: int

    def of(self, candidate: Candidate) -> tuple[ReadSet, ModelShape]:
        """The weights behind a candidate."""
        names = candidate.files
        return next(pair for pair in self.sets if tuple(file.name for file in pair[0].weights.files) == names)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a person wants to know before a download: the folder, the licence, how long (None: no rate is known)."""

    place: str
    licence: str | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Choice:
    """A row of the picker: a model that is here, or one of the catalog that would run well."""

    name: str
    quant: str | None
    bytes: int | None
    is_here: bool
    verdict: Verdict | None
    decode_tps: float | None
    note: str


class Backend:
    """Plans, downloads and loads models on this machine. `note` gets sentences about waiting and fallbacks."""

    def __init__(self, note: Note = lambda _sentence: None, child: Child | None = None) -> None:
        self._paths = paths()
        self._note = note
        self._studies: dict[tuple[str, str | None, bool], Study] = {}
        self._study_of: dict[str, Study] = {}
        self._machine: Machine | None = None
        self._wishes: dict[str, Wish] = {}
        self._stop = threading.Event()
        self._session: Session | None = None
        self.child = child or Child(self._paths.engine_log)

    @property
    def conversations(self) -> Path:
        """The folder where conversations are kept."""
        return self._paths.conversations

    def machine(self, wish: Wish, on: str | None = None) -> Machine:
        """This computer now, or the one that `on` describes."""
        if on is not None:
            return parse_hardware(on)
        if self._machine is None:
            add_rpc(self.child, wish.rpc)
            self._machine = probe(self.child, self._paths.cache)
        return self._machine

    def plan(self, name: str, wish: Wish, on: str | None = None, *, wide: bool = False) -> Plan:
        """Plan a model. `wide` looks at what the Hub offers even where some of it is here already."""
        started = time.perf_counter()
        study = self._study(name, wish, wide=wide or on is not None)
        machine = self.machine(wish, on)
        stage = stage_for(self.child, machine)
        with ExitStack() as stack:
            options = [
                Option(read.weights, shape, stack.enter_context(rehearsals(stage, read.headers)))
                for read, shape in study.sets
            ]
            plan = choose(study.offer.name, options, machine, wish)
        plan = history.applied(plan, history.read(self._paths.history), wish)
        self._study_of[plan.model.name], self._wishes[plan.model.name] = study, wish
        return replace(plan, fetched_bytes=study.fetched_bytes, seconds=time.perf_counter() - started)

    def _study(self, name: str, wish: Wish, *, wide: bool) -> Study:
        key = (name, wish.quant, wide)
        if key not in self._studies:
            offer = resolve(name, Query(wide, wish.quant, self._note))
            reading = read_headers(offer.sets, self._paths.headers, note=self._note)
            sets, notes = candidates(reading.sets)
            for sentence in (*offer.notes, *reading.notes, *notes):
                self._note(sentence)
            shapes = tuple((one, shape_of(one.headers)) for one in sets)
            self._studies[key] = Study(offer, shapes, (*offer.notes, *reading.notes, *notes), reading.fetched_bytes)
        return self._studies[key]

    def chosen(self, plan: Plan) -> int:
        """The index of the candidate to take; DoesNotFit with what would run instead."""
        if plan.chosen is None:
            raise DoesNotFit(" ".join(filter(None, (plan.why, self.instead(plan)))))
        return plan.chosen

    def instead(self, plan: Plan) -> str:
        """A sentence with the largest model of the family that runs well on the plan's machine; empty if none does."""
        entry = catalog.lookup(plan.model.name)
        best = advice.best_of(catalog.family(entry.name), plan.machine) if entry else None
        if best is None or (entry and best.entry.name == entry.name):
            return ""
        return f"{best.entry.title} would run well here: localrun {best.entry.name}"

    def terms(self, plan: Plan, index: int) -> Terms:
        """What to say before a candidate is downloaded."""
        del index  # the same for all candidates
        return Terms(str(self.weights_folder), self._study_of[plan.model.name].offer.licence, None)

    def fetch(self, plan: Plan, index: int) -> Iterator[Progress]:
        """Download what is missing of a candidate; closing the iterator pauses it."""
        read, _ = self._study_of[plan.model.name].of(plan.candidates[index])
        told: queue.SimpleQueue[Progress | LocalrunError | tuple[WeightFile, ...]] = queue.SimpleQueue()
        stop = threading.Event()

        def work() -> None:
            try:
                told.put(fetch(read.weights.files, told.put, self._note, stop))
            except LocalrunError as error:
                told.put(error)

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        try:
            while isinstance(item := told.get(), Progress):
                yield item
        finally:
            stop.set()
            worker.join()
        if isinstance(item, LocalrunError):
            raise item
        self._settle(plan, read.weights, item)

    def _settle(self, plan: Plan, before: WeightSet, files: tuple[WeightFile, ...]) -> None:
        """After a download: these files have paths now."""
        study = self._study_of[plan.model.name]
        fresh = replace(before, files=files)
        sets = tuple((replace(r, weights=fresh) if r.weights == before else r, shape) for r, shape in study.sets)
        settled = replace(study, sets=sets)
        self._study_of[plan.model.name] = settled
        self._studies = {key: settled if one is study else one for key, one in self._studies.items()}

    def load(self, plan: Plan, index: int) -> Iterator[LoadProgress | Session]:
        """Load a candidate whose files are here; the last item is the session."""
        candidate = plan.candidates[index]
        read, shape = self._study_of[plan.model.name].of(candidate)
        path = read.weights.files[0].path
        if candidate.placement is None or path is None:
            raise EngineError(f"{candidate.quant} cannot be loaded: its files are not here, or it does not fit.")
        if not self.child.is_alive():
            self.child.restart()
        ladder = self._ladder(shape, plan, candidate.placement)
        for step in load(self.child, plan, candidate, path, ladder):
            if isinstance(step, Session):
                self._session = step
                self._remember(step)
            yield step

    def _ladder(self, shape: ModelShape, plan: Plan, first: Placement) -> Iterator[Placement]:
        """The planned placement, then what leaves more and more memory free."""
        yield first
        wish = self._wishes[plan.model.name]
        seen = {first}
        for more in _MARGINS:
            lower = place(shape, plan.machine, replace(wish, margin=(wish.margin or MIB * 1024) + more)).placement
            if lower is not None and lower not in seen:
                seen.add(lower)
                yield lower

    def _remember(self, session: Session) -> None:
        conditions = history.conditions_of(session.plan.machine, session.candidate, session.placement)
        history.add(self._paths.history, history.Entry(conditions, session.loaded.memory))

    def remember_speed(self, session: Session, last: Chunk) -> None:
        """Keep what a turn measured, if it was long enough to tell."""
        if history.worth_keeping(last.completion_tokens) and last.decode_tps:
            conditions = history.conditions_of(session.plan.machine, session.candidate, session.placement)
            prefill = last.prefill_tps if last.prefilled >= 256 and last.prefill_tps else 0.0
            entry = history.Entry(conditions, session.loaded.memory, last.decode_tps, prefill)
            history.add(self._paths.history, entry)

    def choices(self) -> Sequence[Choice]:
        """Rows for the picker: what is here, then what the catalog would run well here, largest first."""
        machine = self.machine(Wish())
        here = [
            Choice(_typed(offer, one), one.quant, one.bytes, True, None, None, offer.origin)
            for offer in local.find_local()
            for one in offer.sets
        ]
        names = {choice.name for choice in here}
        estimates = [advice.estimate(entry, machine) for entry in catalog.entries() if entry.name not in names]
        good = sorted((one for one in estimates if one.runs_well), key=lambda one: -one.entry.parameters)
        return here + [
            Choice(one.entry.name, None, one.bytes, False, one.verdict, one.decode_tps, one.entry.title) for one in good
        ]

    def describe(self, name: str, wish: Wish) -> tuple[Description, ...]:
        """Every set of weights that the name leads to, in people's words."""
        study = self._study(name, wish, wide=True)
        kept = [pair for pair in study.sets if wish.quant in (None, pair[0].weights.quant)]
        return tuple(describe(read.weights, read.headers, shape, study.offer.licence) for read, shape in kept)

    def paths_of(self, plan: Plan, index: int) -> tuple[Path, ...]:
        """The files of a candidate that are here."""
        read, _ = self._study_of[plan.model.name].of(plan.candidates[index])
        return tuple(file.path for file in read.weights.files if file.path is not None)

    @property
    def weights_folder(self) -> Path:
        """Where downloads go."""
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE)

    def grammar_of_schema(self, schema: str) -> str:
        """GBNF of a JSON schema."""
        return str(self.child.ask("grammar", schema=schema))

    def close(self) -> None:
        """End the engine process."""
        self._stop.set()
        self.child.close()


def _typed(offer: Offer, one: WeightSet) -> str:
    """What to type for one set of an offer."""
    if offer.origin in ("huggingface", "hub") and len(offer.sets) > 1:
        return f"{offer.name}:{one.quant}"
    return offer.name
