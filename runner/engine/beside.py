"""What guesses beside a model: it is opened behind the model and closed before it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from models.errors import LocalrunError, NoRoomToGuess, OutOfMemory
from runner.engine.breakdown import breakdown, on_each
from runner.engine.chained_heads import heads_of
from runner.engine.companion import Companion
from runner.engine.context import Context
from runner.engine.draft_length import DraftLength
from runner.engine.drafts import Drafts
from runner.engine.guesser import Source
from runner.engine.loading import opened
from runner.engine.lookup import FromText
from runner.engine.model import Model
from runner.engine.mtp import heads_bytes, heads_context
from runner.engine.rollback import Rollback
from runner.engine.step_times import StepTimes
from runner.engine.vocabularies import check_alike
from runner.types.engine import ComponentBytes
from runner.types.placement import Placement

_MODELS_SHARE = 0.9  # of the progress of loading both
_FEWEST = 2  # tokens in a step with a guess
_Progress = Callable[[float], bool]


def opened_with_companion(
    path: str, placement: Placement, progress: _Progress
) -> tuple[Model, Context, Context | None, tuple[str, ...]]:
    """Model, context, that of the companion if there is one, and what is to be said of how the weights lie.

    Beside the errors of the model alone: NoRoomToGuess where only the companion lacks memory, UsageError where it
    speaks of other tokens. Then nothing is held.
    """
    if placement.companion is None:
        model, context, notes = opened(path, placement, progress)
        return model, context, None, notes
    model, context, notes = opened(path, placement, partial(_told, progress, 0.0, _MODELS_SHARE))
    try:
        beside = _opened_beside(context, placement, partial(_told, progress, _MODELS_SHARE, 1.0))
    except LocalrunError:
        close_all(model, context)
        raise
    return model, context, beside, notes


def _told(progress: _Progress, start: float, end: float, fraction: float) -> bool:
    return progress(start + fraction * (end - start))


def _opened_beside(context: Context, placement: Placement, progress: _Progress) -> Context:
    """It has as many cells and sequences as the context that it is for."""
    companion = placement.companion
    if companion is None or companion.path is None or companion.placement is None:
        return _heads_beside(context, placement)
    count = context.sequences  # each has room in every batch
    ubatch = max(companion.placement.ubatch, count)
    room = replace(companion.placement, ctx=context.size, sequences=count, outputs=count, ubatch=ubatch)
    try:
        model, beside, _ = opened(companion.path, room, progress)
    except OutOfMemory as error:
        raise NoRoomToGuess(f"The model has room, but not the draft model beside it: {error}") from error
    try:
        check_alike(context.model, model)
    except LocalrunError:
        close_all(model, beside)
        raise
    return beside


def _heads_beside(context: Context, placement: Placement) -> Context:
    try:
        return heads_context(context, placement)
    except OutOfMemory as error:
        raise NoRoomToGuess(f"The model has room, but not its own heads that guess: {error}") from error


def close_all(model: Model, context: Context, beside: Context | None = None) -> None:
    """Free contexts, then their weights."""
    for one in (beside, context):
        if one:
            one.close()
    for weights in (beside.model if beside else model, model):
        weights.close()


def companion_bytes(beside: Context | None, placement: Placement) -> tuple[ComponentBytes, ...]:
    """What the companion holds; nothing where there is none."""
    if beside is None:
        return ()
    companion = placement.companion
    if companion and companion.placement:
        return on_each(breakdown(beside.handle), companion.placement)
    return on_each(heads_bytes(beside), placement)


def drafts_of(context: Context, placement: Placement, beside: Context | None) -> Drafts | None:
    """What is guessed for the sequences of a context, with its companion's; None where nothing is.

    Nobody's guesses take the room that a batch has for a token of each of the others.
    """
    most = min(placement.outputs, context.ubatch - context.sequences + 1)
    if not placement.drafts or most < _FEWEST:
        return None
    clock = _clock(placement)
    rollback, times = Rollback(context, placement.drafts), StepTimes(placement.outputs)
    again = rollback.needs_copies
    sources: list[Source] = [FromText(DraftLength(times, reads_again=again))]
    if beside:
        length = DraftLength(times, reads_again=again, must_try=True)
        is_own = beside.model is context.model
        sources.append((heads_of if is_own else Companion)(beside, context, length, clock))
    return Drafts(rollback, most, times, sources, clock)


def _clock(placement: Placement) -> Callable[[], float]:
    """Processors alone are timed by their own seconds, which do not pass while others have them."""
    small = placement.companion.placement if placement.companion else None
    has_devices = placement.devices or (small and small.devices)
    return time.perf_counter if has_devices or sys.platform == "win32" else time.process_time
