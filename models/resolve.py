"""From what a person typed to an Offer: a path, a store's model, a catalog name, or a repository on the Hub."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from models import catalog, hub, local
from models.errors import DownloadError, ModelNotFound
from models.files import group
from models.weights import Offer, WeightSet

Note = Callable[[str], None]
_REPOSITORY = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*?)(?::(?P<quant>[\w.-]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Query:
    """How far to look. `wide`: ask the Hub even where some quantization is here. `quant` narrows what is enough."""

    wide: bool = False
    quant: str | None = None
    note: Note = lambda _sentence: None


def resolve(name: str, query: Query | None = None) -> Offer:
    """What `name` leads to. ModelNotFound with the nearest names, BadFile, DownloadError."""
    query = query or Query()
    if offer := _here(name):
        return offer
    if entry := catalog.lookup(name):
        return _from_catalog(entry, query)
    if match := _REPOSITORY.fullmatch(name):
        return _repository(match["repo"], match["quant"] or query.quant, query)
    near = catalog.nearest(name)
    hint = f"; near it are {', '.join(near)}" if near else "; localrun list shows what is here"
    raise ModelNotFound(f"There is no model {name!r}{hint}.")


def _here(name: str) -> Offer | None:
    """A file, a folder, or another program's model, if the name says so or nothing else can be meant."""
    looks_like_path = name.startswith((".", "/", "~")) or name.lower().endswith(".gguf")
    path = Path(name).expanduser()
    if name.startswith("ollama:") or looks_like_path or ("/" in name and path.exists()):
        return local.offer_for(name)
    if path.is_file() and catalog.lookup(name) is None:
        return local.offer_for(name)
    return None


def _from_catalog(entry: catalog.Entry, query: Query) -> Offer:
    """What is here of it, else what the Hub has; both for a wide query."""
    here = _stored(entry)
    enough = any(query.quant in (None, one.quant) for one in here.sets) if here else False
    if here and enough and not query.wide:
        return here
    try:
        there = _first_repository(entry, query)
    except DownloadError as error:
        if not here:
            raise
        return replace(here, notes=(*here.notes, f"Only what is here was looked at: {error}"))
    return _merged(there, here) if here else there


def _stored(entry: catalog.Entry) -> Offer | None:
    """Quantizations on this machine, in the package that carries them or in the Hugging Face cache."""
    offers = [offer for offer in _stored_offers(entry) if offer.sets]
    if not offers:
        return None
    sets = {one.quant: one for offer in offers for one in offer.sets}
    return Offer(entry.name, offers[0].origin, tuple(sets.values()), entry.licence)


def _stored_offers(entry: catalog.Entry) -> Iterator[Offer]:
    if entry.package and (packaged := local.packaged(entry.package)):
        yield packaged
    for repository in entry.repositories:
        if cached := local.cached(repository.name):
            yield cached


def _first_repository(entry: catalog.Entry, query: Query) -> Offer:
    """The first repository that is there; else the most downloaded one that a search gives."""
    for repository in entry.repositories:
        try:
            return replace(_repository(repository.name, None, query), name=entry.name)
        except ModelNotFound:
            query.note(f"{repository.name} is not on the Hub any more.")
    found = hub.search(entry.title, note=query.note)
    if not found:
        raise ModelNotFound(f"The Hub has no GGUF repository of {entry.title}.")
    query.note(f"Taking {found[0].repo} instead, the most downloaded one for {entry.title!r}.")
    return replace(_repository(found[0].repo, None, query), name=entry.name)


def _repository(repo: str, quant: str | None, query: Query) -> Offer:
    """The sets of a repository; those in the cache are enough for a query that is not wide."""
    cached = local.cached(repo)
    if cached and not query.wide and any(quant in (None, one.quant) for one in cached.sets):
        return _only(cached, quant)
    try:
        listing = hub.list_repo(repo, note=query.note)
    except DownloadError as error:
        if cached is None:
            raise
        return _only(replace(cached, notes=(*cached.notes, f"Only what is here was looked at: {error}")), quant)
    grouped = group(listing.files)
    if not grouped.sets:
        raise ModelNotFound(" ".join([f"{repo} has no GGUF weights.", *grouped.notes]))
    return _only(Offer(repo, "hub", grouped.sets, listing.licence, grouped.notes), quant)


def _only(offer: Offer, quant: str | None) -> Offer:
    """The sets of one quantization."""
    if quant is None:
        return offer
    sets = tuple(one for one in offer.sets if one.quant.casefold() == quant.casefold())
    if not sets:
        there = ", ".join(one.quant for one in offer.sets)
        raise ModelNotFound(f"{offer.name} has no {quant}; it has {there}.")
    return replace(offer, sets=sets)


def _merged(there: Offer, here: Offer) -> Offer:
    """The Hub's sets, with ours in the place of those of the same quantization."""
    ours = {one.quant: one for one in here.sets}
    sets = [_better(one, ours.pop(one.quant, None)) for one in there.sets]
    return replace(there, sets=(*sets, *ours.values()))


def _better(theirs: WeightSet, ours: WeightSet | None) -> WeightSet:
    return ours if ours is not None and not theirs.is_here else theirs
