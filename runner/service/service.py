"""Everything behind a front end: from a name to a plan, to files, to a loaded model. Every front end uses this one.

The engine process is started at once, so that its start overlaps with reading headers; plan, rehearsal and load
share it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from weakref import WeakKeyDictionary

from models.errors import BadFile, DoesNotFit, EngineError
from models.headers.describe import Description, describe
from models.headers.prefixes import Prefixes
from models.hub import listing
from models.hub.listing import Found
from models.names import catalog
from models.stores.cache import as_on_disk, weights_folder
from models.weights import Progress
from runner.client.attach import Unkept, find, question_of
from runner.client.attached import AttachedSession
from runner.client.process import EngineProcess
from runner.client.session import EngineSession, Recover, Running
from runner.client.vectors import VectorSession
from runner.planning import experience
from runner.planning.rivals import contest_of
from runner.planning.tuned import question_of as tuned_question
from runner.report import sentences
from runner.report.warm import not_kept
from runner.service import downloads, library
from runner.service.descent import Descent
from runner.service.instead import instead
from runner.service.keeping import load_there
from runner.service.kept_states import Keeper, kept
from runner.service.machines import Machines
from runner.service.planned import planned
from runner.service.rehearsals import Rehearsals
from runner.service.search import judged
from runner.service.served_states import ServedStates
from runner.service.studies import Studies, files_of, studied_set, study_of, weights_of
from runner.service.tuning import Tuner
from runner.service.uses import prefixes_for, use_of
from runner.storage import history, tuned
from runner.storage.damage import set_aside
from runner.storage.paths import paths
from runner.storage.states import States
from runner.types.commands import Grammar, Understand
from runner.types.drafts import names_model
from runner.types.engine import LoadProgress
from runner.types.generation import Chunk, Message, Request
from runner.types.grammar import without_tokens
from runner.types.hit import Hit
from runner.types.machine import Machine
from runner.types.measurement import Measurement, Tuned
from runner.types.plan import Candidate, Plan, Terms
from runner.types.reasons import Refused, TunedHere
from runner.types.schema_keywords import unheld
from runner.types.service import Choice, Session
from runner.types.study import Study
from runner.types.tuning import Tuning
from runner.types.vectors import Purpose
from runner.types.wish import Wish

_PATHS = ("file", "folder")


class LocalService:
    """Plans, downloads and loads models on this machine. `note` gets sentences about waiting and fallbacks.

    `cache_size`: bytes that states of conversations may take on the disk (None: as much as `States` says). `mapped`:
    bytes of files that other engines of ours have in memory.
    """

    def __init__(
        self,
        note: Callable[[str], None] = lambda _sentence: None,
        engine: EngineProcess | None = None,
        cache_size: int | None = None,
        mapped: Callable[[], int] = lambda: 0,
    ) -> None:
        self._paths = paths()
        self._states = States(self._paths.states, cache_size)
        self.served = ServedStates(self._states)
        """What a server has read for its clients."""
        self._note = note
        self.engine = engine or EngineProcess(self._paths.engine_log)
        self._machines = Machines(self.engine, self._paths, mapped)
        self._studies = Studies(self._paths, note)
        self._rehearsals = Rehearsals(self.engine)
        self._keepers: WeakKeyDictionary[EngineSession, Keeper] = WeakKeyDictionary()
        for sentence in set_aside(self._paths):
            note(sentence)

    @property
    def conversations(self) -> Path:
        """The folder where conversations are kept."""
        return self._paths.conversations

    @property
    def prompts(self) -> Path:
        """The folder of prompts that have a name."""
        return self._paths.prompts

    def machine(self, wish: Wish, on: str | Machine | None = None) -> Machine:
        """This computer as it was before anything was loaded, or the one that `on` describes."""
        return self._machines.named(on, wish.rpc)

    def machine_now(self) -> Machine:
        """This computer as it is at this moment; nothing of this service's may be loaded."""
        return self._machines.again()

    # ---- plan

    def plan(self, name: str, wish: Wish, on: str | Machine | None = None, *, wide: bool = False) -> Plan:
        """Plan a model, on this computer or on the one that `on` describes.

        What is here is enough unless none of it runs, or `wide` asks for what the Hub offers too. On a Machine what is
        here is all there is.
        """
        started = time.perf_counter()
        self._wake()
        if on is not None or wish.rpc:  # what is wrong there is told before the Hub is asked
            self.machine(wish, on)
        study = self._studies.of(name, wish.quant, wide=wide or isinstance(on, str))
        machine = self.machine(wish, on)
        plan = self._planned(study, machine, wish)
        may_look_further = not (wide or isinstance(on, Machine) or study.offer.origin in _PATHS)
        if plan.chosen is None and may_look_further:
            plan = self._planned(self._studies.of(name, wish.quant, wide=True), machine, wish)
        return replace(plan, seconds=time.perf_counter() - started)

    def use_of(self, name: str, wish: Wish) -> Purpose:
        """What the model that a name leads to is made for."""
        return use_of(self._studies.of(name, wish.quant, wide=False))

    def prefixes(self, plan: Plan) -> Prefixes | None:
        """What the maker of the model wants in front of texts that become vectors; None where nothing is known."""
        return prefixes_for(study_of(plan))

    def _planned(self, study: Study, machine: Machine, wish: Wish) -> Plan:
        kept, measured = tuned.read(self._paths.tuned), history.read(self._paths.history)
        study = replace(study, drafters=self._drafters(wish))
        return planned(study, machine, wish, measured, self._rehearsals.on(machine), kept)

    def _drafters(self, wish: Wish) -> Study | None:
        """The small model that is to guess, by its name; what is here of it is enough."""
        if wish.draft is None or wish.use is not Purpose.CHAT or not names_model(wish.draft):
            return None
        return self._studies.of(wish.draft, None, wide=False)

    def chosen(self, plan: Plan) -> int:
        """The index of the candidate to take; DoesNotFit with what would run instead, BadFile where no memory helps."""
        if plan.chosen is None:
            if all(any(isinstance(one, Refused) for one in candidate.reasons) for candidate in plan.candidates):
                raise BadFile(sentences.why(plan))
            raise DoesNotFit(" ".join(filter(None, (sentences.why(plan), self.instead(plan)))))
        return plan.chosen

    def instead(self, plan: Plan) -> str:
        """What would run on the plan's machine, each with the command to type; empty if nothing does."""

        def replan(name: str, wish: Wish) -> Plan:
            return self._planned(self._studies.of(name, wish.quant, wide=True), plan.machine, wish)

        return instead(plan, replan)

    # ---- download

    def terms(self, plan: Plan, index: int) -> Terms:
        """What to say before a candidate is downloaded."""
        seconds = downloads.seconds_for(plan.candidates[index].download_bytes, self._paths.download_rate)
        return Terms(str(weights_folder()), study_of(plan).offer.licence, seconds)

    def fetch(self, plan: Plan, index: int) -> Iterator[Progress]:
        """Download what is missing of a candidate; closing the iterator pauses it."""
        yield from downloads.download(files_of(plan, index), self._paths.download_rate, self._note)

    def paths_of(self, plan: Plan, index: int) -> tuple[Path, ...]:
        """The files of a candidate that are here."""
        return tuple(file.path for file in files_of(plan, index) if file.path is not None)

    # ---- load

    def load(self, plan: Plan, index: int) -> Iterator[LoadProgress | EngineSession]:
        """Load a candidate whose files are here; the last item is the session, whose turns are remembered."""
        descent = self._descent(plan, index)
        running = yield from descent.load()
        yield self._session(running, descent)

    def load_vectors(self, plan: Plan, index: int) -> Iterator[LoadProgress | VectorSession]:
        """Load a candidate of a plan for vectors or scores; the last item is the session."""
        descent = self._descent(plan, index)
        running = yield from descent.load()
        history.add(self._paths.history, _measured(running))
        yield VectorSession(self.engine, running, self._resume(descent))

    def warm(self, name: str, wish: Wish, keep_s: float | None = None) -> AttachedSession | None:
        """The model, where somebody keeps it warm for the same name and wish: `keep_s` seconds from its last use on.

        None: as long as was said before.
        """
        session = find(question_of(name, wish), keep_s)
        if session is not None:
            self.engine.close()  # until something is planned or loaded here
        return session

    def load_kept(
        self, plan: Plan, index: int, keep_s: float
    ) -> Iterator[LoadProgress | AttachedSession | EngineSession]:
        """As `load`, by the server that keeps it; here, with a sentence, where nothing can be kept."""
        self.engine.close()  # it holds memory of devices
        try:
            yield from load_there(plan, index, keep_s, self._paths.engine_log, self._note)
        except Unkept as error:
            self._note(not_kept(str(error)))
            yield from self.load(plan, index)

    def _wake(self) -> None:
        if not self.engine.is_alive():
            self.engine.restart()

    def _descent(self, plan: Plan, index: int) -> Descent:
        candidate = plan.candidates[index]
        if candidate.placement is None:
            raise DoesNotFit(f"{candidate.quant} does not fit this machine.")
        self._wake()
        return Descent(self.engine, self._machines, self._planned, plan, index)

    def _resume(self, descent: Descent) -> Recover:
        def resume(error: EngineError, least_ctx: int) -> Running:
            again = descent.resume(error, least_ctx)
            history.add(self._paths.history, _measured(again))
            return again

        return resume

    def _session(self, running: Running, descent: Descent) -> EngineSession:
        """What the load held is kept for the next plan, and from here on what each turn measures."""

        def turn_ended(asked: Request, last: Chunk) -> None:
            descent.settled()
            found = _measured(session, last)
            if not asked.ignore_end:  # a benchmark is nobody's habit
                found = replace(found, turn=experience.turn_of(last))
            else:
                found = replace(found, guessed=None)
            if found.decode_tps or found.prefill_tps:
                history.add(self._paths.history, found)
            keeper.turn_ended(session, asked, last)

        history.add(self._paths.history, _measured(running))
        session = EngineSession(self.engine, running, self._resume(descent))
        self._keepers[session] = keeper = Keeper(self._states)
        session.ended, session.reloaded = turn_ended, lambda: keeper.reloaded(session)
        session.kept = lambda: kept(self._states, session)
        return session

    def remember(self, session: Session, name: str, messages: Sequence[Message]) -> None:
        """Let what the engine has read of a conversation outlive it, where that is worth its bytes."""
        if isinstance(session, AttachedSession):
            session.remember(name, messages)
            return
        assert isinstance(session, EngineSession)  # this service makes no others
        self._keepers[session].leave(session, name, messages)

    def recall(self, session: Session, name: str) -> None:
        """Go on from what was remembered under that name, if these weights made it: it is not read again.

        From here on its answers are remembered under it where that pays, and an engine that is started again goes on
        from there.
        """
        if isinstance(session, AttachedSession):
            session.recall(name)
            return
        assert isinstance(session, EngineSession)
        self._keepers[session].begin(session, name)

    # ---- measure

    def tuner(self, plan: Plan, index: int, budget_s: float) -> Tuner:
        """Who measures placements of a candidate whose files are here, for about so long."""
        studied, own = studied_set(plan, index), self._untuned(plan, index)
        rehearse = self._rehearsals.on(plan.machine)(studied.read)
        contest = contest_of(studied.shape, plan.machine, plan.wish, rehearse, own)
        return Tuner(contest, own.placement, self.load, (plan, index), budget_s)

    def _untuned(self, plan: Plan, index: int) -> Candidate:
        """A candidate as the planner places it, without what was tuned before."""
        candidate = plan.candidates[index]
        if not any(isinstance(reason, TunedHere) for reason in candidate.reasons):
            return candidate
        measured = history.read(self._paths.history)
        again = planned(study_of(plan), plan.machine, plan.wish, measured, self._rehearsals.on(plan.machine))
        return again.candidates[index]

    def keep(self, plan: Plan, index: int, tuning: Tuning) -> None:
        """Let the next plan take what won, or forget what won before where nothing beat the plan."""
        question = tuned_question(weights_of(plan, index), plan.machine, plan.wish)
        if tuning.is_kept:
            placement = tuning.trials[tuning.best].placement
            tuned.keep(self._paths.tuned, Tuned(question, placement, tuning.gain, time.time()))
        else:
            tuned.forget(self._paths.tuned, question)

    # ---- what there is

    def choices(self) -> Sequence[Choice]:
        """Rows for the picker: what is here, then what the catalog would run well here, largest first."""
        self._wake()
        return library.choices(self._machines.here(), self._studies, self._paths)

    def search(self, words: str) -> Sequence[Found]:
        """The most downloaded GGUF repositories on the Hub whose names hold these words. DownloadError."""
        return listing.search(words, note=self._note)

    def judged(self, found: Sequence[Found]) -> Iterator[Hit]:
        """What this machine could do with each repository, in order, as headers arrive."""
        measured = history.read(self._paths.history)

        def studies() -> Studies:
            return Studies(self._paths, lambda _sentence: None)

        yield from judged(found, studies, self._machines.here(), measured)

    def describe(self, name: str, wish: Wish) -> tuple[Description, ...]:
        """Every set of weights that the name leads to, in people's words."""
        study = self._studies.of(name, wish.quant, wide=True)
        wanted, entry = wish.quant and wish.quant.casefold(), catalog.meant_by(study.offer.name)
        drafter = entry.draft.name if entry and entry.draft else None
        return tuple(
            replace(
                describe(as_on_disk(one.read.weights), one.read.headers, one.shape, study.offer.licence),
                drafter=drafter,
            )
            for one in study.sets
            if wanted in (None, one.read.weights.quant.casefold())
        )

    def grammar_of_schema(self, schema: str) -> str:
        """GBNF of a JSON schema (JSON text); what no grammar holds an answer to is said. UsageError."""
        grammar = self.engine.ask(Grammar(schema))
        if left := unheld(json.loads(schema)):
            self._note(sentences.checked_at_the_end(left))
        return grammar

    def understood(self, gbnf: str) -> str:
        """The same grammar; UsageError where it is none, as far as that can be said without the model's vocabulary."""
        self.engine.ask(Understand(without_tokens(gbnf)))
        return gbnf

    def close(self) -> None:
        """End the engine process."""
        self.engine.close()
        self._machines.close()
        self._rehearsals.close()


def _measured(running: Running | EngineSession, last: Chunk | None = None) -> Measurement:
    machine, held = running.plan.machine, running.loaded.held
    return experience.measurement_of(machine, running.candidate, running.placement, held, last, time.time())
