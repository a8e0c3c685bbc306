"""From a name to a Study: what it leads to, with the headers of all its files. Nothing is read twice."""

from __future__ import annotations

from collections.abc import Callable

from models.errors import BadFile
from models.headers.quantizations import quantizations
from models.headers.shape import shape_of
from models.hub.remote import read_headers
from models.names import catalog
from models.names.instead import loadable
from models.names.resolve import Query, resolve
from models.stores.cache import as_on_disk
from models.weights import Offer, WeightFile, WeightSet
from runner.storage import listings
from runner.storage.paths import Paths
from runner.types.plan import Plan
from runner.types.study import StudiedSet, Study


class Studies:
    """The studies made so far. `note` hears sentences about waiting and about what was found on the way."""

    def __init__(self, paths: Paths, note: Callable[[str], None]) -> None:
        self._paths = paths
        self._note = note
        self._known: dict[tuple[str, str | None, bool], Study] = {}

    def of(self, name: str, quant: str | None, *, wide: bool) -> Study:
        """What a name leads to; `wide` asks the Hub even where something is here. Errors as of `resolve`, BadFile.

        A study of all quantizations serves for one of them.
        """
        known = self._known.get((name, None, wide)) or self._known.get((name, quant, wide))
        if known is None:
            offer = resolve(name, Query(wide, quant, self._note))
            known = self._known[name, quant, wide] = self.read(offer, name)
            if catalog.lookup(offer.name):
                listings.remember(self._paths.listings, offer)
            for sentence in known.notes:
                self._note(sentence)
        return known

    def read(self, offer: Offer, name: str) -> Study:
        """Read the headers of an offer that `name` led to. BadFile or DownloadError where not one can be read.

        BadFile, too, where none is of a model.
        """
        reading = read_headers(offer.sets, self._paths.headers, note=self._note)
        reads, notes = quantizations(reading.sets)
        if not reads:
            raise BadFile(" ".join(notes))
        try:
            sets = tuple(StudiedSet(read, shape_of(read.headers)) for read in reads)
        except BadFile as error:
            if offer.origin != "ollama":  # which has its own names for some architectures
                raise
            raise BadFile(f"{offer.name}: {error}. {loadable(offer.name)}") from error
        return Study(name, offer, sets, (*offer.notes, *reading.notes, *notes), reading.fetched_bytes)


def study_of(plan: Plan) -> Study:
    """What the plan was made from."""
    assert plan.study is not None  # only tests plan bare shapes
    return plan.study


def studied_set(plan: Plan, index: int) -> StudiedSet:
    """What was known of a candidate's files."""
    return study_of(plan).set_of(plan.candidates[index].files)


def files_of(plan: Plan, index: int) -> tuple[WeightFile, ...]:
    """Everything that a candidate loads, as it lies here at this moment: its own files, then its companion's."""
    companion = companion_of(plan, index)
    return (*weights_of(plan, index).files, *(companion.files if companion else ()))


def companion_of(plan: Plan, index: int) -> WeightSet | None:
    """The small model that guesses for a candidate, as it lies here at this moment."""
    files = next((one.files for one in plan.candidates[index].companions if one.files), None)
    if files is None:
        return None
    drafters = study_of(plan).drafters
    assert drafters is not None  # the companion came from there
    return as_on_disk(drafters.set_of(files).read.weights)


def weights_of(plan: Plan, index: int) -> WeightSet:
    """A candidate's files as they lie here at this moment."""
    return as_on_disk(studied_set(plan, index).read.weights)
