"""What comes through the private door, answered from the models that are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from models.errors import EngineError, LocalrunError
from runner.api.kept import Kept, KeptModels
from runner.api.pool import Resident
from runner.api.wire import Wire
from runner.client.attach import settings
from runner.client.version import ROOT, code_stamp
from runner.report.warm import OTHER_SETTINGS, OTHER_VERSION
from runner.types.codec import pack
from runner.types.engine import LoadProgress
from runner.types.pipe import Command
from runner.types.slowness import Slowness
from runner.types.warm import Ask, Attach, Attached, Caller, End, Remember, Residents, Rules, Slow, Tokens


class WarmDesk:
    """Answers each connection, in the thread that brings it."""

    def __init__(self, models: KeptModels) -> None:
        self._kept = models
        self._code, self._settings = code_stamp(), settings()

    def answer(self, wire: Wire) -> None:
        """One connection, from its command to its end."""
        with self._kept.guest():
            try:
                self._answer(wire, wire.command())
            except LocalrunError as error:
                wire.failed(error)
            except (OSError, ValueError, TypeError):
                pass  # it has gone, or speaks another language
            except Exception as error:  # nobody shall wait for ever
                wire.failed(EngineError(f"The server of the warm engine failed: {error!r}."))
            finally:
                wire.close()

    def _answer(self, wire: Wire, command: Command[Any]) -> None:
        match command:
            case Attach():
                self._attach(wire, command)
            case Ask():
                self._ask(wire, command)
            case Residents():
                wire.done(self._kept.rows())
            case End():
                wire.done(self._end(command))
            case Tokens(number, messages, raw):
                session = self._kept.of(number).session
                wire.done(session.count_tokens(messages) if raw is None else session.count_text(raw))
            case Rules(number, schema):
                wire.done(self._kept.of(number).resident.service.grammar_of_schema(schema))
            case Remember():
                self._remember(command)
                wire.done(None)

    def _attach(self, wire: Wire, command: Attach) -> None:
        if (refused := self._refused(command.caller)) is not None:
            wire.done(refused)
            return
        known = self._kept.pool.meant(command.question)
        if not self._kept.has(known) and not command.may_load:
            wire.done(Attached())
            return
        wire.watch()  # what is loaded for one who has gone stays for the next

        def told(loading: Any) -> None:
            wire.step(LoadProgress(loading.fraction or 0.0))

        with self._kept.pool.hold(known, told) as resident, self._kept.attached(resident, command.keep_s) as kept:
            wire.done(_attached(kept))
            wire.wait()

    def _refused(self, caller: Caller) -> Attached | None:
        if caller.root != str(ROOT) or code_stamp() != self._code:
            return Attached(why=OTHER_VERSION, is_outdated=True)
        return None if caller.settings == self._settings else Attached(why=OTHER_SETTINGS)

    def _ask(self, wire: Wire, command: Ask) -> None:
        kept, asked = self._kept.of(command.number), command.request
        answer = kept.session.generate(
            asked.messages, asked.sampling, continue_last=True, raw=asked.raw, is_watched=asked.is_watched
        )
        with self._kept.asked(kept):
            try:
                wire.watch(answer.stop)
                for chunk in answer:
                    wire.step(chunk)
                wire.done(_slow(kept.session.slowness))
            finally:
                answer.close()

    def _remember(self, command: Remember) -> None:
        kept = self._kept.of(command.number)
        if command.messages:
            kept.resident.service.remember(kept.session, command.name, command.messages)
        else:
            kept.resident.service.recall(kept.session, command.name)

    def _end(self, command: End) -> tuple[str, ...]:
        name, models = command.name, self._kept
        meant = [one for one in models.pool.residents() if name is None or is_called(one, name)]
        return tuple(one.known.name for one in meant if models.end(one, is_idle=command.is_idle))


def is_called(resident: Resident, name: str) -> bool:
    """Whether a person may mean this model."""
    known, model = resident.known.name, resident.running.plan.model.name
    names = {known, model, Path(known).stem, f"{known}:{resident.running.candidate.quant}"}
    return name.casefold() in {one.casefold() for one in names}


def _attached(kept: Kept) -> Attached:
    running = kept.session.running
    plan, candidate = running.plan, replace(running.candidate, reasons=())
    facts = {
        "model": pack(plan.model),
        "machine": pack(plan.machine),
        "candidate": pack(candidate),
        "recommended": pack(plan.recommended(candidate)),
    }
    return Attached(kept.number, "", False, candidate.quant, running.placement, running.loaded, facts)


def _slow(found: Slowness | None) -> Slow | None:
    if found is None:
        return None
    return Slow(found.below, type(found.cause).__name__ if found.cause else "", pack(found.cause))
