"""Weights into memory, another way where the first does not do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from runner.engine.model import Model
from runner.types.placement import Placement

_NOT_PINNED = (
    "The memory for weights in RAM could not be pinned (WSL 2 and containers limit how much can): "
    "they are mapped from their file instead, and prompts are read slower than planned."
)


def loaded_model(path: str, placement: Placement, progress: Callable[[float], bool]) -> tuple[Model, tuple[str, ...]]:
    """The weights, and what is to be said of how they lie. BadFile, OutOfMemory."""
    model = Model(path, placement, progress=progress)
    if model.is_pinned:
        return model, ()
    model.close()  # a copy that no bus reads fast only takes memory
    return Model(path, replace(placement, load_mode="mmap"), progress=progress), (_NOT_PINNED,)
