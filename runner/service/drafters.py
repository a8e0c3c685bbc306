"""The small model that a wish names to guess for another: which quantization of it, and whether it speaks alike."""

from __future__ import annotations

from models.errors import BadFile, UsageError
from models.headers.kinds import FileKind, kind_of
from models.headers.vocabularies import difference
from models.stores.cache import as_on_disk
from runner.types.study import StudiedSet, Study

_LEAST_BITS = 4.2  # below that guesses come true less often than they come faster


def drafter_for(study: Study, drafters: Study) -> StudiedSet:
    """What of a small model is to guess for a large one: the smallest of those that are here, else of all.

    BadFile for what answers no prompts, UsageError for another vocabulary, each in a sentence.
    """
    chosen = _smallest([one for one in drafters.sets if as_on_disk(one.read.weights).is_here] or drafters.sets)
    kind = kind_of(chosen.read.headers)
    if kind is not FileKind.CHAT:
        raise BadFile(f"--draft: {chosen.read.weights.files[0].name} is {kind}, not {FileKind.CHAT}.")
    if differs := difference(study.sets[0].read.headers[0], chosen.read.headers[0]):
        raise UsageError(
            f"{drafters.name} cannot guess for {study.name}: {differs}. --draft takes a model with the same vocabulary."
        )
    return chosen


def _smallest(sets: list[StudiedSet] | tuple[StudiedSet, ...]) -> StudiedSet:
    good = [one for one in sets if one.shape.bits_per_weight >= _LEAST_BITS] or sets
    return min(good, key=lambda one: one.read.weights.bytes)


def check_heads(study: Study) -> None:
    """UsageError where nothing on offer has heads of its own that could be computed."""
    if not any(one.shape.heads for one in study.sets):
        raise UsageError(
            f"--draft mtp: {study.name} has no heads that predict further tokens and that this llama.cpp computes; "
            "--draft lookup guesses from the text itself."
        )
