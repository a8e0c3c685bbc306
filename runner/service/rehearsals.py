"""Ask llama.cpp itself what a placement takes, without allocating: the parent's side of a rehearsal.

Hardware that is not here is rehearsed on loopback stand-ins under its own device names.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.errors import BadFile, EngineError
from models.headers.candidates import ReadSet
from models.headers.gguf import Header
from models.headers.header_only import header_only
from models.weights import WeightSet
from runner.client.process import EngineProcess
from runner.cost.ledger import Rehearsed
from runner.planning.placement import Rehearse
from runner.types.engine import ComponentBytes
from runner.types.machine import Machine
from runner.types.plan import Placement, Source


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


def devices_for(child: EngineProcess, machine: Machine) -> RehearsalDevices:
    """The real devices of a probed machine; for a named one as many stand-ins as it has devices."""
    names = [device.id for device in machine.devices]
    if machine.source == "probe":
        return RehearsalDevices(tuple((name, name) for name in names), Source.REHEARSAL)
    actors = child.prepare("standins", count=len(names))
    return RehearsalDevices(tuple(zip(names, actors, strict=True)), Source.STAND_IN)


class Rehearsals:
    """Rehearsals of any number of models. Files and answers are kept, so that planning again is quick."""

    def __init__(self, child: EngineProcess) -> None:
        self._child = child
        self._lock = threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._outlines: dict[WeightSet, Path | None] = {}
        self._answers: dict[tuple[WeightSet, RehearsalDevices, Placement], Rehearsed] = {}

    def of(self, read: ReadSet, stage: RehearsalDevices) -> Rehearse | None:
        """Who answers for this set of weights; None where its header cannot be copied or no file can be written."""
        with self._lock:
            if read.weights not in self._outlines:
                self._outlines[read.weights] = self._outline(read.headers)
            path = self._outlines[read.weights]
        if path is None:
            return None

        def rehearse(placement: Placement) -> Rehearsed | None:
            key = (read.weights, stage, placement)
            if key not in self._answers:
                answer = _rehearse(self._child, stage, path, placement)
                if answer is None:
                    return None
                self._answers[key] = answer
            return self._answers[key]

        return rehearse

    def close(self) -> None:
        """Remove the files."""
        self._outlines.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _outline(self, headers: Sequence[Header]) -> Path | None:
        """A sparse file of the model's full size: llama.cpp checks that every tensor lies within it."""
        try:
            drawn = header_only(headers)
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="localrun-", ignore_cleanup_errors=True)
            path = Path(self._folder.name) / f"{len(self._outlines)}.gguf"
            with path.open("wb") as file:
                file.write(drawn.header)
                os.truncate(file.fileno(), drawn.file_bytes)
        except (BadFile, OSError):
            return None
        return path


def _rehearse(child: EngineProcess, stage: RehearsalDevices, path: Path, placement: Placement) -> Rehearsed | None:
    acted = replace(
        placement,
        devices=tuple(map(stage.actor, placement.devices)),
        overrides=tuple(replace(one, device=stage.actor(one.device)) for one in placement.overrides),
    )
    try:
        (said,) = child.ask("rehearse", path=str(path), placements=[acted])
    except BadFile as error:
        return Rehearsed((), stage.source, refusal=str(error).replace(str(path), "the model"))
    except EngineError:
        if not child.is_alive():
            child.restart()
        return None
    if said["buffers"] is None:
        return Rehearsed((), stage.source, refusal=said["refusal"])
    return Rehearsed(_by_device(said["buffers"], stage), stage.source)


def _by_device(buffers: Sequence[dict[str, Any]], stage: RehearsalDevices) -> tuple[ComponentBytes, ...]:
    """Sums over a device's buffers, under the device's own name."""
    totals: dict[str, ComponentBytes] = {}
    for row in buffers:
        name = stage.device(row["device"])
        sofar = totals.get(name, ComponentBytes(name, 0, 0, 0))
        totals[name] = ComponentBytes(
            name, sofar.weights + row["weights"], sofar.kv + row["kv"], sofar.compute + row["compute"]
        )
    return tuple(totals.values())
