"""Which loaded models are kept for whom, and until when."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from models.errors import EngineError
from runner.api.names import Known
from runner.api.pool import Pool, Resident
from runner.client.session import EngineSession
from runner.types.warm import WarmModel

_FIRST_S = 30.0  # so long a server waits for its first client
_LONG_S = 3600.0


@dataclass(slots=True, eq=False)
class Kept:
    """A loaded model and its clients. `used`: when the last of them came or went, in seconds of time.monotonic."""

    number: int
    resident: Resident
    keep_s: float = 0.0
    clients: int = 0
    requests: int = 0
    used: float = field(default_factory=time.monotonic)

    @property
    def session(self) -> EngineSession:
        """What answers. EngineError where it is a model that makes vectors."""
        if not isinstance(self.resident.session, EngineSession):
            raise EngineError(f"{self.resident.known.name} answers no prompts; --keep is for models that do.")
        return self.resident.session

    @property
    def is_used(self) -> bool:
        """Whether somebody is attached to it."""
        return self.clients > 0 or self.requests > 0


class KeptModels:
    """What a pool has loaded, for those who come through the private door.

    `is_lasting`: it stays as long as the server, which others ask by other doors.
    """

    def __init__(self, pool: Pool, *, is_lasting: bool = False) -> None:
        self.pool, self._is_lasting = pool, is_lasting
        self._changed = threading.Condition()
        self._kept: list[Kept] = []
        self._numbers = count(1)
        self._guests = 0
        self._until = time.monotonic() + _FIRST_S

    @contextmanager
    def guest(self) -> Iterator[None]:
        """Somebody is at the door; it does not end meanwhile."""
        with self._changed:
            self._guests += 1
        try:
            yield
        finally:
            with self._changed:
                self._guests -= 1
                self._until = time.monotonic()
                self._changed.notify_all()

    def has(self, known: Known) -> bool:
        """Whether it is loaded; one that would be loaded otherwise by now is unloaded: EngineError while in use."""
        resident = next((one for one in self.pool.residents() if one.known == known), None)
        if resident is None or resident.is_as_planned:
            return resident is not None
        if not self.end(resident, is_idle=True):
            raise EngineError("The weights have changed, and others still ask the engine that has the old ones.")
        return False

    def of(self, number: int) -> Kept:
        """The one of this number. EngineError where it was ended."""
        with self._changed:
            for one in self._loaded():
                if one.number == number:
                    return one
        raise EngineError("The warm engine was ended.")

    @contextmanager
    def attached(self, resident: Resident, keep_s: float | None) -> Iterator[Kept]:
        """A client holds it; afterwards it stays for `keep_s` seconds (None: as long as was said before)."""
        with self._changed:
            kept = next((one for one in self._loaded() if one.resident is resident), None)
            if kept is None:
                kept = Kept(next(self._numbers), resident)
                self._kept.append(kept)
            kept.keep_s = kept.keep_s if keep_s is None else keep_s
            kept.clients += 1
        try:
            yield kept
        finally:
            with self._changed:
                kept.clients -= 1
                kept.used = time.monotonic()

    @contextmanager
    def asked(self, kept: Kept) -> Iterator[None]:
        """A request is under way."""
        with self._changed:
            kept.requests += 1
        try:
            yield
        finally:
            with self._changed:
                kept.requests -= 1
                kept.used = time.monotonic()

    def end(self, kept: Resident, *, is_idle: bool) -> bool:
        """End an engine, unless it is to be idle and is not."""
        ended = self.pool.unload(kept, is_idle=is_idle)
        with self._changed:
            self._changed.notify_all()
        return ended

    def rows(self) -> tuple[WarmModel, ...]:
        """What is loaded."""
        with self._changed:
            kept = {id(one.resident): one for one in self._loaded()}
        return tuple(self._row(one, kept.get(id(one))) for one in self.pool.residents())

    def wait(self) -> None:
        """Until nothing is loaded and nobody is at the door; what nobody has asked for too long is unloaded."""
        while (left := self._left_s()) is not None:
            with self._changed:
                self._changed.wait(left)

    def _left_s(self) -> float | None:
        """Seconds until there may be something to end; None: it is over."""
        now = time.monotonic()
        with self._changed:
            loaded = self._loaded()
            is_over = not self._guests and not loaded and self._until <= now
            ends = [(one.used + one.keep_s, one) for one in loaded if not one.is_used]
            first = self._until if self._until > now else now + _LONG_S
        for end, one in ends:
            if end <= now:
                self.end(one.resident, is_idle=True)
                return 0.0
        return None if is_over else min([first, *(end for end, _ in ends)]) - now

    def _loaded(self) -> list[Kept]:
        """Without what the pool has unloaded, maybe to make room."""
        there = {id(one) for one in self.pool.residents()}
        self._kept = [one for one in self._kept if id(one.resident) in there]
        return self._kept

    def _row(self, resident: Resident, kept: Kept | None) -> WarmModel:
        running, now = resident.running, time.monotonic()
        clients = kept.clients if kept else 0
        requests = resident.requests - clients + (kept.requests if kept else 0)  # who is attached holds it, too
        is_used = clients > 0 or requests > 0
        left = None if is_used or self._is_lasting or kept is None else kept.used + kept.keep_s - now
        return WarmModel(
            name=resident.known.name,
            quant=running.candidate.quant,
            verdict=running.candidate.verdict.value,
            ctx=running.loaded.ctx,
            memory=running.loaded.held,
            placement=running.placement,
            idle_s=0.0 if is_used else now - max(resident.used, kept.used if kept else 0.0),
            keeps_until=None if left is None else time.time() + left,
            ends_in_s=left,
            requests=requests,
            clients=clients,
            pid=os.getpid(),
        )
