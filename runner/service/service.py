"""Everything behind a front end: from a name to a plan, to files, to a loaded model. Every front end uses this one.

The engine process is started at once, so that its start overlaps with reading headers; plan, rehearsal and load
share it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from models.errors import DoesNotFit, EngineError, LocalrunError
from models.headers.candidates import candidates
from models.headers.describe import Description, describe
from models.headers.shape import shape_of
from models.hub.remote import read_headers
from models.names import catalog
from models.names.resolve import Query, resolve, split_quant
from models.stores import local
from models.stores.cache import as_on_disk
from models.stores.header_cache import HeaderCache
from models.weights import Offer, Progress, WeightSet
from runner.client.devices import add_rpc, runtime
from runner.client.process import EngineProcess
from runner.client.session import EngineSession, load
from runner.hardware.described import parse_hardware
from runner.hardware.probe import probe
from runner.planning import alternatives
from runner.planning.choose import Contender, choose
from runner.planning.fallback import lower_placements
from runner.service import downloads
from runner.service.library import Choice, from_catalog, on_shelf
from runner.service.rehearsals import Rehearsals, devices_for
from runner.storage import history, listings
from runner.storage.paths import paths
from runner.types.engine import LoadProgress
from runner.types.generation import Chunk
from runner.types.machine import Machine
from runner.types.plan import Plan, Terms, Wish
from runner.types.study import StudiedSet, Study

Note = Callable[[str], None]
_PATHS = ("file", "folder")


class LocalService:
    """Plans, downloads and loads models on this machine. `note` gets sentences about waiting and fallbacks."""

    def __init__(self, note: Note = lambda _sentence: None, child: EngineProcess | None = None) -> None:
        self._paths = paths()
        self._note = note
        self._studies: dict[tuple[str, str | None, bool], Study] = {}
        self._machine: Machine | None = None
        self._endpoints: tuple[str, ...] = ()
        self.child = child or EngineProcess(self._paths.engine_log)
        self._rehearsals = Rehearsals(self.child)

    @property
    def conversations(self) -> Path:
        """The folder where conversations are kept."""
        return self._paths.conversations

    @property
    def weights_folder(self) -> Path:
        """Where downloads go."""
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE)

    def machine(self, wish: Wish, on: str | None = None) -> Machine:
        """This computer as it was before anything was loaded, or the one that `on` describes."""
        if on is not None:
            return parse_hardware(on)
        fresh = [endpoint for endpoint in wish.rpc if endpoint not in self._endpoints]
        if self._machine is None or fresh:
            add_rpc(self.child, fresh)
            self._endpoints += tuple(fresh)
            self._machine = probe(runtime(self.child), self._paths.cache)
        return self._machine

    # ---- plan

    def plan(self, name: str, wish: Wish, on: str | None = None, *, wide: bool = False) -> Plan:
        """Plan a model. What is here is enough unless none of it runs, or `wide` asks for what the Hub offers too."""
        started = time.perf_counter()
        study = self._study(name, wish.quant, wide=wide or on is not None)
        machine = self.machine(wish, on)
        plan = self._planned(study, machine, wish)
        if plan.chosen is None and not wide and study.offer.origin not in _PATHS:
            study = self._study(name, wish.quant, wide=True)
            plan = self._planned(study, machine, wish)
        return replace(plan, fetched_bytes=study.fetched_bytes, seconds=time.perf_counter() - started)

    def _planned(self, study: Study, machine: Machine, wish: Wish) -> Plan:
        stage = devices_for(self.child, machine)
        options = [
            Contender(as_on_disk(one.read.weights), one.shape, self._rehearsals.of(one.read, stage))
            for one in study.sets
        ]
        plan = replace(choose(study.offer.name, options, machine, wish), study=study)
        return history.applied(plan, history.read(self._paths.history), wish)

    def _study(self, name: str, quant: str | None, *, wide: bool) -> Study:
        """Read the headers of what the name leads to, once; all quantizations serve for one of them."""
        known = self._studies.get((name, None, wide)) or self._studies.get((name, quant, wide))
        if known is None:
            offer = resolve(name, Query(wide, quant, self._note))
            known, notes = self._read(name, offer)
            if catalog.lookup(offer.name):
                listings.remember(self._paths.listings, offer)
            for sentence in notes:
                self._note(sentence)
            self._studies[name, quant, wide] = known
        return known

    def _read(self, name: str, offer: Offer) -> tuple[Study, tuple[str, ...]]:
        reading = read_headers(offer.sets, self._paths.headers, note=self._note)
        reads, notes = candidates(reading.sets)
        sets = tuple(StudiedSet(read, shape_of(read.headers)) for read in reads)
        return Study(name, offer, sets, reading.fetched_bytes), (*offer.notes, *reading.notes, *notes)

    # ---- when nothing runs

    def chosen(self, plan: Plan) -> int:
        """The index of the candidate to take; DoesNotFit with what would run instead."""
        if plan.chosen is None:
            raise DoesNotFit(" ".join(filter(None, (plan.why, self.instead(plan)))))
        return plan.chosen

    def instead(self, plan: Plan) -> str:
        """What would run on the plan's machine, each with the command to type; empty if nothing does."""
        sentences = (self._other_quant(plan), self._other_model(plan))
        return " ".join(sentence for sentence in sentences if sentence)

    def _other_quant(self, plan: Plan) -> str:
        """Another quantization, where one was asked for."""
        name, tag = split_quant(_study_of(plan).name)
        if tag is None and plan.wish.quant is None:
            return ""
        try:
            study = self._study(name, None, wide=True)
        except LocalrunError:
            return ""  # the Hub is out of reach: there is nothing more to say
        other = self._planned(study, plan.machine, replace(plan.wish, quant=None))
        return alternatives.quant_sentence(name, other) if other.chosen is not None else ""

    def _other_model(self, plan: Plan) -> str:
        """The largest model of the family that runs well, or of the catalog if none of the family does."""
        study = _study_of(plan)
        names = (study.name, plan.model.name, *(one.shape.name for one in study.sets))
        entry = next((entry for name in names if (entry := alternatives.entry_named(name))), None)
        family = catalog.family(entry.name) if entry else ()
        best = None
        for entries in (family, catalog.entries()):
            smaller = [one for one in entries if one.parameters < plan.model.parameters and one != entry]
            best = best or alternatives.best_of(smaller, plan.machine)
        return f"{best.entry.title} would run well: `localrun {best.entry.name}`." if best else ""

    # ---- download

    def terms(self, plan: Plan, index: int) -> Terms:
        """What to say before a candidate is downloaded."""
        seconds = downloads.seconds_for(plan.candidates[index].download_bytes, self._paths.download_rate)
        return Terms(str(self.weights_folder), _study_of(plan).offer.licence, seconds)

    def fetch(self, plan: Plan, index: int) -> Iterator[Progress]:
        """Download what is missing of a candidate; closing the iterator pauses it."""
        yield from downloads.download(_weights(plan, index).files, self._paths.download_rate, self._note)

    def paths_of(self, plan: Plan, index: int) -> tuple[Path, ...]:
        """The files of a candidate that are here."""
        return tuple(file.path for file in _weights(plan, index).files if file.path is not None)

    # ---- load

    def load(self, plan: Plan, index: int) -> Iterator[LoadProgress | EngineSession]:
        """Load a candidate whose files are here; the last item is the session, whose turns are remembered."""
        candidate = plan.candidates[index]
        path = _weights(plan, index).files[0].path
        if candidate.placement is None or path is None:
            raise EngineError(f"{candidate.quant} cannot be loaded: its files are not here, or it does not fit.")
        if not self.child.is_alive():
            self.child.restart()
        ladder = lower_placements(_studied(plan, index).shape, plan.machine, plan.wish, candidate.placement)
        for step in load(self.child, plan, candidate, path, ladder):
            if isinstance(step, EngineSession):
                self._remember(step)
            yield step

    def _remember(self, session: EngineSession) -> None:
        """Keep what the load held, and what every turn measures, for the next plan."""

        def keep(last: Chunk | None) -> None:
            found = history.entry_of(
                session.plan.machine, session.candidate, session.placement, session.loaded.memory, last
            )
            if last is None or found.decode_tps or found.prefill_tps:
                history.add(self._paths.history, found)

        keep(None)
        session.ended = keep

    # ---- what there is

    def choices(self) -> Sequence[Choice]:
        """Rows for the picker: what is here, then what the catalog would run well here, largest first."""
        machine, measured = self.machine(Wish()), history.read(self._paths.history)

        def plan_of(offer: Offer) -> Plan:
            """Without rehearsals: quick, and exact enough for a list."""
            study, _ = self._read(offer.name, offer)
            options = [Contender(one.read.weights, one.shape) for one in study.sets]
            return history.applied(choose(offer.name, options, machine, Wish()), measured, Wish())

        headers, offers = HeaderCache(self._paths.headers), listings.recall(self._paths.listings)

        def catalog_plan(entry: catalog.Entry) -> Plan | None:
            """From headers that were read before; None where some would have to be fetched."""
            offer = offers.get(entry.name)
            files = [file for one in offer.sets for file in one.files] if offer else []
            return plan_of(offer) if offer and all(headers.get(file.sha256) for file in files) else None

        here = on_shelf(local.find_local(), plan_of)
        return [*here, *from_catalog(machine, {choice.name for choice in here}, catalog_plan)]

    def describe(self, name: str, wish: Wish) -> tuple[Description, ...]:
        """Every set of weights that the name leads to, in people's words."""
        study = self._study(name, wish.quant, wide=True)
        wanted = wish.quant and wish.quant.casefold()
        kept = [one for one in study.sets if wanted in (None, one.read.weights.quant.casefold())]
        return tuple(
            describe(as_on_disk(one.read.weights), one.read.headers, one.shape, study.offer.licence) for one in kept
        )

    def grammar_of_schema(self, schema: str) -> str:
        """GBNF of a JSON schema."""
        return str(self.child.ask("grammar", schema=schema))

    def close(self) -> None:
        """End the engine process."""
        self.child.close()
        self._rehearsals.close()


def _study_of(plan: Plan) -> Study:
    assert plan.study is not None  # every plan of this service has one
    return plan.study


def _studied(plan: Plan, index: int) -> StudiedSet:
    """What was known of a candidate's files."""
    wanted = plan.candidates[index].files
    return next(one for one in _study_of(plan).sets if tuple(file.name for file in one.read.weights.files) == wanted)


def _weights(plan: Plan, index: int) -> WeightSet:
    """A candidate's files as they lie here at this moment."""
    return as_on_disk(_studied(plan, index).read.weights)
