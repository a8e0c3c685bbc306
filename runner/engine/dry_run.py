"""Rehearsals: what llama.cpp would allocate, without allocating it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from models.errors import EngineError, LocalrunError
from runner.engine.breakdown import breakdown
from runner.engine.context import Context
from runner.engine.model import Model
from runner.engine.mtp import heads_bytes, heads_context
from runner.types.engine import ComponentBytes, Rehearsal
from runner.types.placement import Placement


def rehearse(path: str, placements: Sequence[Placement]) -> tuple[Rehearsal, ...]:
    """Bytes of every placement of the file at `path` (its header is enough), without allocating.

    One load serves neighbours that differ in nothing but context, KV type, ubatch and outputs.
    """
    rehearsals: list[Rehearsal] = []
    for _, alike in groupby(placements, _model_settings):
        group = tuple(alike)
        model = Model(path, group[0], rehearse=True)
        try:
            rehearsals += [_rehearse_context(model, placement) for placement in group]
        finally:
            model.close()
    return tuple(rehearsals)


def _model_settings(placement: Placement) -> tuple[object, ...]:
    return (
        placement.has_heads,
        placement.devices,
        placement.gpu_layers,
        placement.tensor_split,
        placement.split_mode,
        placement.overrides,
    )


def _rehearse_context(model: Model, placement: Placement) -> Rehearsal:
    try:
        context = Context(model, placement)
    except EngineError as error:
        return Rehearsal(None, str(error))
    try:
        return Rehearsal(breakdown(context.handle), companion=_heads(context, placement))
    except LocalrunError as error:
        return Rehearsal(None, str(error))
    finally:
        context.close()


def _heads(context: Context, placement: Placement) -> tuple[ComponentBytes, ...]:
    """What the model's own heads take beside it, if they are wanted."""
    if not placement.has_heads:
        return ()
    heads = heads_context(context, placement)
    try:
        return heads_bytes(heads)
    finally:
        heads.close()
