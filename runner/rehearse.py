"""Ask llama.cpp itself what a placement takes, without allocating: the parent's side of a rehearsal.

Hardware that is not here is rehearsed on loopback stand-ins under its own device names.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.errors import BadFile, EngineError
from models.gguf import Header
from models.outline import outline
from runner.events import ComponentBytes
from runner.ledger import Rehearsed
from runner.machine import Machine
from runner.placement import Rehearse
from runner.plan import Placement, Source
from runner.spawn import Child


@dataclass(frozen=True, slots=True)
class Stage:
    """Where rehearsals happen: the child, and the machine's device names with those that act for them."""

    child: Child
    actors: dict[str, str]
    source: Source


def stage_for(child: Child, machine: Machine) -> Stage:
    """The real devices of a probed machine; for a named one as many stand-ins as it has devices."""
    names = [device.id for device in machine.devices]
    if machine.source == "probe":
        return Stage(child, {name: name for name in names}, Source.REHEARSAL)
    actors = child.ask("standins", count=len(names))
    return Stage(child, dict(zip(names, actors, strict=True)), Source.STAND_IN)


@contextmanager
def rehearsals(stage: Stage, headers: Sequence[Header]) -> Iterator[Rehearse | None]:
    """Who answers for this set of weights; None where its header cannot be copied or no file can be written."""
    with tempfile.TemporaryDirectory(prefix="localrun-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "outline.gguf"
        try:
            _write(path, headers)
        except (BadFile, OSError):
            yield None
            return
        yield lambda placement: _rehearse(stage, path, placement)


def _write(path: Path, headers: Sequence[Header]) -> None:
    """A sparse file of the model's full size: llama.cpp checks that every tensor lies within it."""
    drawn = outline(headers)
    with path.open("wb") as file:
        file.write(drawn.header)
        os.truncate(file.fileno(), drawn.file_bytes)


def _rehearse(stage: Stage, path: Path, placement: Placement) -> Rehearsed | None:
    acted = replace(
        placement,
        devices=tuple(stage.actors[name] for name in placement.devices),
        overrides=tuple(
            replace(override, device=stage.actors.get(override.device, override.device))
            for override in placement.overrides
        ),
    )
    try:
        (said,) = stage.child.ask("rehearse", path=str(path), placements=[acted])
    except BadFile as error:
        return Rehearsed((), stage.source, refusal=str(error).replace(str(path), "the model"))
    except EngineError:
        if not stage.child.is_alive():
            stage.child.restart()
        return None
    if said["buffers"] is None:
        return Rehearsed((), stage.source, refusal=said["refusal"])
    return Rehearsed(_by_device(said["buffers"], stage), stage.source)


def _by_device(buffers: Sequence[dict[str, Any]], stage: Stage) -> tuple[ComponentBytes, ...]:
    """Sums over a device's buffers, under the device's own name."""
    names = {actor: name for name, actor in stage.actors.items()}
    totals: dict[str, ComponentBytes] = {}
    for row in buffers:
        name = names.get(row["device"], row["device"])
        sofar = totals.get(name, ComponentBytes(name, 0, 0, 0))
        totals[name] = ComponentBytes(
            name, sofar.weights + row["weights"], sofar.kv + row["kv"], sofar.compute + row["compute"]
        )
    return tuple(totals.values())
