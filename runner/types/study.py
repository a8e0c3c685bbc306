"""What is known of a model before it is planned: the files on offer, with their headers and shapes. Pure data."""

from __future__ import annotations

from dataclasses import dataclass

from models.headers.quantizations import ReadSet
from models.headers.recommended import MODELFILE, Recommended, recommended
from models.headers.shape import ModelShape
from models.weights import Offer


@dataclass(frozen=True, slots=True)
class StudiedSet:
    """One set of weights with its headers, and what they mean to a planner."""

    read: ReadSet
    shape: ModelShape


@dataclass(frozen=True, slots=True)
class Study:
    """The sets on offer that are quantizations of one model; `name` is what somebody typed.

    Where the files lie is as it was when they were looked up; `models.stores.cache.as_on_disk` knows it at any later
    moment. `notes` are sentences about the way here; `fetched_bytes` came over the network for the headers.
    `drafters`: a small model that is to guess for it; None where none is named.
    """

    name: str
    offer: Offer
    sets: tuple[StudiedSet, ...]
    notes: tuple[str, ...] = ()
    fetched_bytes: int = 0
    drafters: Study | None = None

    def set_of(self, files: tuple[str, ...]) -> StudiedSet:
        """The set whose files have these names, all of them in order."""
        return next(one for one in self.sets if tuple(file.name for file in one.read.weights.files) == files)

    def recommended(self, files: tuple[str, ...]) -> tuple[Recommended, ...]:
        """How the maker of the set with these files wants it sampled."""
        header, modelfile = self.set_of(files).read.headers[0], self.offer.modelfile
        said = modelfile.settings if modelfile else ()
        own = {name: Recommended(name, value, MODELFILE) for name, value in said}
        return (*(one for one in recommended(header.kv, files[:1]) if one.setting not in own), *own.values())
