"""The models that are loaded, by name. One that is asked for and is not is loaded, planned against what is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from models.errors import DoesNotFit, EngineError, ModelNotFound, UsageError
from runner.api.asked import Loading, Terms
from runner.api.names import Known, Names
from runner.api.room import fewest_gone, held_bytes, left, mapped_bytes
from runner.client.attach import question_of
from runner.client.session import EngineSession, Running
from runner.client.vectors import VectorSession
from runner.report.serving import does_not_fit
from runner.service.marks import marks_of
from runner.service.parallel import for_many
from runner.service.service import LocalService
from runner.types.engine import LoadProgress
from runner.types.plan import Plan
from runner.types.vectors import Purpose
from runner.types.warm import Question
from runner.types.wish import Wish

Told = Callable[[Loading], None]
_TICK_S = 0.5


@dataclass(slots=True, eq=False)
class Resident:
    """A loaded model; `requests` are under way. `used`: when the last one began or ended, seconds of time.monotonic.

    It stays for `keep_s` seconds behind its last use, None: until its room is wanted. Those that make vectors take
    turns. `marks`: what its plan depended on when it was loaded. `told_of`: what ran when its notes were told.
    """

    known: Known
    service: LocalService
    session: EngineSession | VectorSession
    marks: object
    told_of: Running
    requests: int = 0
    taking_turns: threading.Lock = field(default_factory=threading.Lock)
    used: float = field(default_factory=time.monotonic)
    since: float = field(default_factory=time.time)
    keep_s: float | None = None
    alarm: threading.Timer | None = None

    def meets(self, terms: Terms) -> None:
        """Keep it as it is asked for. UsageError where its context is smaller than that."""
        if terms.ctx > (ctx := self.running.loaded.ctx):
            raise UsageError(
                f"A context of {terms.ctx} tokens was asked for; {self.known.name} is loaded with {ctx}. The server's "
                f"--ctx says how long contexts are."
            )
        self.keep_s = self.keep_s if terms.keep_s is None else terms.keep_s

    @property
    def running(self) -> Running:
        """What is loaded, and by which plan."""
        return self.session.running

    def news(self) -> Sequence[str]:
        """What has taken the place of an engine that ended since this was asked last."""
        before, self.told_of = self.told_of, self.running
        return () if self.told_of is before else self.told_of.loaded.notes[-1:]

    def leave(self) -> None:
        """End its engine; where that is idle, what it has read for the server's clients is kept."""
        if isinstance(self.session, EngineSession) and not self.requests:
            self.service.served.leave(self.session)
        self.service.close()

    @property
    def is_as_planned(self) -> bool:
        """Whether it would be planned alike by now: its weights are as they were, and nothing better is known."""
        return self.marks == _marks(self.running, self.known)


class Pool:
    """Any thread may ask for a model; one at a time is loaded. Each has an engine of its own.

    `wish` holds for all of them. Where unloading idle ones makes a clearly better plan for another, those that were not
    used for longest go. `note` hears sentences about waiting and fallbacks. `cache_size` as in LocalService.
    """

    def __init__(
        self, wish: Wish, note: Callable[[str], None] = lambda _sentence: None, cache_size: int | None = None
    ) -> None:
        self.names = Names()
        self._wish, self._note, self._cache_size = wish, note, cache_size
        self._changing = threading.Lock()  # of the two that follow
        self._residents: dict[Known, Resident] = {}
        self._is_closed = False
        self._turn = threading.Lock()  # to load
        self._loading: Loading | None = None

    def residents(self) -> Sequence[Resident]:
        """What is loaded, that used last first."""
        with self._changing:
            return sorted(self._residents.values(), key=lambda one: -one.used)

    def meant(self, question: Question) -> Known:
        """What somebody asks for by a name and a wish: a model that is loaded for the same, or another."""
        for one in self.residents():
            if question_of(one.known.typed, one.known.wish or self._wish) == question:
                return one.known
        return Known(question.name, question.name, question.wish)

    @contextmanager
    def lease(self, name: str, told: Told = lambda _loading: None) -> Iterator[Resident]:
        """A loaded model that is not unloaded meanwhile. `told` hears of loading, which goes on whoever waits.

        ModelNotFound, DoesNotFit with what the others take, and what a load raises.
        """
        with self.hold(self.names.meant(name), told) as resident:
            yield resident

    @contextmanager
    def hold(self, known: Known, told: Told = lambda _loading: None) -> Iterator[Resident]:
        """The same for a model that is known already."""
        resident = self._taken(known) or self._loaded(known, told)
        try:
            yield resident
        finally:
            with self._changing:
                resident.requests -= 1
                resident.used = time.monotonic()
                news = resident.news()
            for sentence in news:
                self._note(sentence)
            self._rest(resident)

    def expire(self, known: Known) -> None:
        """Unload it as soon as it is idle."""
        for resident in self.residents():
            if resident.known == known:
                resident.keep_s = 0.0
                self.unload(resident)

    def unload(self, resident: Resident, *, is_idle: bool = True) -> bool:
        """End its engine; one that `is_idle` shall be, unless it is in use."""
        with self._changing:
            if (is_idle and resident.requests) or self._residents.get(resident.known) is not resident:
                return False
            del self._residents[resident.known]
            if resident.alarm is not None:
                resident.alarm.cancel()
        resident.leave()
        return True

    def close(self) -> None:
        """End all engines, whatever they do."""
        with self._changing:
            self._is_closed = True
            residents, self._residents = list(self._residents.values()), {}
        for resident in residents:
            if resident.alarm is not None:
                resident.alarm.cancel()
            resident.leave()

    def _rest(self, resident: Resident) -> None:
        """Unload it if it has been idle for as long as it is kept, else see to that later."""
        with self._changing:
            if resident.keep_s is None or resident.requests:
                return
            if resident.alarm is not None:
                resident.alarm.cancel()
            left = resident.used + resident.keep_s - time.monotonic()
            if left > threading.TIMEOUT_MAX:
                return
            if left > 0:
                resident.alarm = threading.Timer(left, self._rest, (resident,))
                resident.alarm.daemon = True
                resident.alarm.start()
                return
        self.unload(resident)

    def _taken(self, known: Known) -> Resident | None:
        with self._changing:
            resident = self._residents.get(known)
            if resident is not None:
                resident.requests += 1
                resident.used = time.monotonic()
            return resident

    # ---- load

    def _loaded(self, known: Known, told: Told) -> Resident:
        """Load it, unless somebody else has done so by the time that it is our turn."""
        while not self._turn.acquire(timeout=_TICK_S):
            told(self._loading or Loading(known.name))
        try:
            return self._taken(known) or self._load(known, told)
        finally:
            self._loading = None
            self._turn.release()

    def _load(self, known: Known, told: Told) -> Resident:
        with ExitStack() as undo:
            service = LocalService(self._note, cache_size=self._cache_size, mapped=self._mapped)
            undo.callback(service.close)
            plan, index = self._planned(service, known)
            if plan.candidates[index].download_bytes:
                raise ModelNotFound(f"{known.name} is not whole here; localrun pull {known.typed} brings the rest.")
            session = self._session(service, (plan, index), known, told)
            running = session.running
            resident = Resident(known, service, session, _marks(running, known), running, requests=1)
            with self._changing:
                if self._is_closed:
                    raise EngineError("The server ends.")
                self._residents[known] = resident
            undo.pop_all()
        return resident

    def _session(
        self, service: LocalService, planned: tuple[Plan, int], known: Known, told: Told
    ) -> EngineSession | VectorSession:
        load = service.load if planned[0].wish.use is Purpose.CHAT else service.load_vectors
        for step in load(*planned):
            if not isinstance(step, LoadProgress):
                for sentence in step.running.loaded.notes:
                    self._note(sentence)
                return step
            self._loading = Loading(known.name, step.fraction)
            told(self._loading)
        raise EngineError("The engine loaded nothing.")

    def _planned(self, service: LocalService, known: Known) -> tuple[Plan, int]:
        """The plan for what is left of the machine, once those are unloaded that are better unloaded. DoesNotFit."""
        asked = known.wish or self._wish
        wish = replace(asked, use=service.use_of(known.typed, asked))
        machine, idle = service.machine(wish), self._idle()
        loaded = [one.running for one in self.residents()]
        count, plan = fewest_gone(
            lambda first: service.plan(
                known.typed, wish, left(machine, wish, loaded, [one.running for one in idle[:first]])
            ),
            len(idle),
        )
        if [one for one in idle[:count] if self.unload(one)]:
            machine, loaded = service.machine_now(), [one.running for one in self.residents()]
        machine = left(machine, wish, loaded, ())
        if count:  # what was to go may be in use again
            plan = service.plan(known.typed, wish, machine)
        if plan.chosen is not None and wish.use is Purpose.CHAT:
            plan = service.plan(known.typed, for_many(service, known.typed, wish, machine), machine)
        if plan.chosen is None:
            held = [(one.known.name, held_bytes(one.running)) for one in self.residents()]
            raise DoesNotFit(does_not_fit(known.name, plan, held))
        return plan, plan.chosen

    def _idle(self) -> list[Resident]:
        return [one for one in reversed(self.residents()) if not one.requests]

    def _mapped(self) -> int:
        return sum(mapped_bytes(one.running) for one in self.residents())


def _marks(running: Running, known: Known) -> object:
    return marks_of(running.plan, known.typed, running.plan.wish.quant)
