"""Weights into memory, another way where the first does not do, and the context over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from models.errors import EngineError
from runner.engine.context import Context
from runner.engine.llama import spread
from runner.engine.model import Model
from runner.types.placement import Placement

_NOT_PINNED = (
    "The memory for weights in RAM could not be pinned (WSL 2 and containers limit how much can): "
    "they are mapped from their file instead, and prompts are read slower than planned."
)


def opened(
    path: str, placement: Placement, progress: Callable[[float], bool]
) -> tuple[Model, Context, tuple[str, ...]]:
    """Both, and what is to be said of how the weights lie.

    BadFile for a file that llama.cpp refuses, OutOfMemory where memory does not suffice: then nothing is held.
    """
    model, notes = _loaded(path, placement, progress)
    try:
        return model, Context(model, placement), notes
    except EngineError:
        model.close()
        raise


def _loaded(path: str, placement: Placement, progress: Callable[[float], bool]) -> tuple[Model, tuple[str, ...]]:
    if placement.numa is not None:
        spread(placement.numa)
    model = Model(path, placement, progress=progress)
    if model.is_pinned:
        return model, ()
    model.close()  # a copy that no bus reads fast only takes memory
    return Model(path, replace(placement, load_mode="mmap"), progress=progress), (_NOT_PINNED,)
