"""The small model that a wish names to guess for another: which quantization of it, and whether it speaks alike."""

from __future__ import annotations

from models.errors import BadFile, UsageError
from models.headers.kinds import FileKind, kind_of
from models.headers.vocabularies import difference
from models.names import catalog
from models.stores.cache import as_on_disk
from runner.cost.guesses import expected, placed_growth
from runner.types.drafts import DraftKind
from runner.types.plan import CouldGuess, Plan
from runner.types.study import StudiedSet, Study

_CLEARLY = 1.2  # times as fast: less is not worth a download
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


def hint(plan: Plan, study: Study) -> CouldGuess | None:
    """The small model that the catalog knows for this one, where nobody was asked to guess and it would clearly help.

    No header of it is read: it is taken to be stored as the large one is, and to be on the same devices.
    """
    entry = catalog.meant_by(study.offer.name)
    if entry is None or entry.draft is None or plan.chosen is None or plan.wish.draft is not None:
        return None
    placement, small = plan.candidates[plan.chosen].placement, catalog.lookup(entry.draft.name)
    if placement is None or placement.sequences > 1 or placement.pooling is not None or small is None:
        return None
    shape = study.set_of(plan.candidates[plan.chosen].files).shape
    growth = placed_growth(shape, plan.machine, placement)
    gain = expected(DraftKind.MODEL, growth, small.active / entry.active).gain
    return CouldGuess(small.name, gain) if gain >= _CLEARLY else None


def check_heads(study: Study) -> None:
    """UsageError where nothing on offer has heads of its own that could be computed."""
    if not any(one.shape.heads for one in study.sets):
        raise UsageError(
            f"--draft mtp: {study.name} has no heads that predict further tokens and that this llama.cpp computes; "
            "--draft lookup guesses from the text itself."
        )
