"""Ask llama.cpp itself what a placement takes, without allocating: the parent's side of a rehearsal.

Hardware that is not here is rehearsed on loopback stand-ins under its own device names.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models.errors import BadFile, EngineError
from models.headers.gguf import Header
from models.headers.header_only import header_only
from models.headers.quantizations import ReadSet
from models.weights import WeightSet
from runner.client.process import EngineProcess
from runner.cost.ledger import Rehearsed
from runner.planning.placement import Rehearser
from runner.storage.scratch import Scratch
from runner.types import commands
from runner.types.machine import Machine
from runner.types.placement import Placement
from runner.types.plan import Source


@dataclass(frozen=True, slots=True)
class RehearsalDevices:
    """Where rehearsals happen: the machine's device names with those that act for them, in order."""

    actors: tuple[tuple[str, str], ...]
    source: Source

    def actor(self, device: str) -> str:
        """Who acts for a device; the CPU acts for itself."""
        return dict(self.actors).get(device, device)

    def device(self, actor: str) -> str:
        """Whom an actor stands for."""
        return {name: device for device, name in self.actors}.get(actor, actor)


def devices_for(engine: EngineProcess, machine: Machine) -> RehearsalDevices:
    """The real devices of a probed machine; for a named one as many stand-ins as it has devices."""
    names = [device.id for device in machine.devices]
    if machine.source == "probe":
        return RehearsalDevices(tuple((name, name) for name in names), Source.REHEARSAL)
    actors = engine.prepare(commands.StandIns(len(names)))
    return RehearsalDevices(tuple(zip(names, actors, strict=True)), Source.STAND_IN)


class Rehearsals:
    """Rehearsals of any number of models. Files and answers are kept, so that planning again is quick."""

    def __init__(self, engine: EngineProcess) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._scratch: Scratch | None = None
        self._files: dict[WeightSet, Path | None] = {}
        self._answers: dict[tuple[WeightSet, RehearsalDevices, Placement], Rehearsed] = {}

    def on(self, machine: Machine) -> Callable[[ReadSet], Rehearser | None]:
        """Who answers on this machine for a set of weights.

        None where its header cannot be copied or no file can be written.
        """
        devices = devices_for(self._engine, machine)
        return lambda read: self._of(read, devices)

    def _of(self, read: ReadSet, devices: RehearsalDevices) -> Rehearser | None:
        with self._lock:
            if read.weights not in self._files:
                self._files[read.weights] = self._header_only_file(read.headers)
            path = self._files[read.weights]
        if path is None:
            return None

        def rehearse(placement: Placement) -> Rehearsed | None:
            key = (read.weights, devices, placement)
            if key not in self._answers:
                answer = _rehearse(self._engine, devices, path, placement)
                if answer is None:
                    return None
                self._answers[key] = answer
            return self._answers[key]

        return rehearse

    def close(self) -> None:
        """Remove the files."""
        self._files.clear()
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None

    def _header_only_file(self, headers: Sequence[Header]) -> Path | None:
        """A sparse file of the model's full size: llama.cpp checks that every tensor lies within it."""
        try:
            drawn = header_only(headers)
            self._scratch = self._scratch or Scratch()
            path = self._scratch.path / f"{len(self._files)}.gguf"
            with path.open("wb") as file:
                file.write(drawn.header)
                os.truncate(file.fileno(), drawn.file_bytes)
        except (BadFile, OSError):
            return None
        return path


def _rehearse(engine: EngineProcess, devices: RehearsalDevices, path: Path, placement: Placement) -> Rehearsed | None:
    """llama.cpp's answer; None where it died over it. A small model that guesses is rehearsed by itself."""
    companion = placement.companion
    acted = replace(
        placement,
        companion=companion if companion is not None and companion.placement is None else None,
        devices=tuple(map(devices.actor, placement.devices)),
        overrides=tuple(replace(one, device=devices.actor(one.device)) for one in placement.overrides),
    )
    try:
        (said,) = engine.ask(commands.Rehearse(str(path), (acted,)))
    except BadFile as error:
        return Rehearsed((), devices.source, refusal=str(error).replace(str(path), "the model"))
    except EngineError:
        if not engine.is_alive():
            engine.restart()
        return None
    if said.memory is None:
        return Rehearsed((), devices.source, refusal=said.refusal)
    memory, beside = (
        tuple(replace(row, device=devices.device(row.device)) for row in rows) for rows in (said.memory, said.companion)
    )
    return Rehearsed(memory, devices.source, companion=beside)
