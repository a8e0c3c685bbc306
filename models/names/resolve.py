"""From what a person typed to an Offer: a path, a store's model, a catalog name, or a repository on the Hub."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import reduce

from models.entry import Entry
from models.errors import DownloadError, ModelNotFound
from models.files import group, model_of, typed_name
from models.hub import listing
from models.hub.http import Note
from models.names import catalog
from models.stores import local
from models.weights import Offer, WeightSet

_ADDRESS = re.compile(
    r"(?:https?://)?(?:www\.)?(?:hf\.co|huggingface\.co)/(?P<repo>[^/:?#]+/[^/:?#]+)"
    r"(?:/(?:blob|resolve|tree)/[^/?#]+(?:/(?P<file>[^?#]+?))?)?(?::(?P<quant>[^/?#]+))?/?(?:[?#].*)?",
    re.IGNORECASE,
)
_QUANT = re.compile(r"(?P<model>[^:]+):(?P<quant>\w[\w./-]*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Query:
    """How far to look. `wide`: ask the Hub even where some quantization is here. `quant` narrows what is enough."""

    wide: bool = False
    quant: str | None = None
    note: Note = lambda _sentence: None


def resolve(name: str, query: Query | None = None) -> Offer:
    """What `name` leads to. ModelNotFound with the nearest names, BadFile, DownloadError.

    A quantization in the name must be there; one that only the query names need not.
    """
    query = query or Query()
    if offer := _place(name):
        return offer
    model, quant = split_quant(name)
    query = replace(query, quant=quant or query.quant)
    return _only(_offer(model, query), query.quant, strict=quant is not None)


def split_quant(name: str) -> tuple[str, str | None]:
    """`org/repo:Q4_K_M` or `org/repo:FILE`, taken apart; None where there is one part (`llama3.3:70b` is one).

    So is what was copied from the Hub: `hf.co/org/repo:Q4_K_M`, the address of a page, a folder or a file.
    """
    if address := _ADDRESS.fullmatch(name):
        return address["repo"], address["file"] or address["quant"]
    match = _QUANT.fullmatch(name)
    if match is None or name.startswith("ollama:") or catalog.lookup(name):
        return name, None
    return match["model"], match["quant"]


def _place(name: str) -> Offer | None:
    """What is meant by a path, or by `ollama:NAME`. A bare name of the catalog is never a folder."""
    if _ADDRESS.fullmatch(name):
        return None
    is_bare = "/" not in name and not name.startswith((".", "~", "ollama:")) and not name.lower().endswith(".gguf")
    return None if is_bare and catalog.lookup(name) else local.offer_for(name)


def _offer(model: str, query: Query) -> Offer:
    if entry := catalog.lookup(model):
        return _from_catalog(entry, model, query)
    if catalog.REPOSITORY.fullmatch(model):
        try:
            return _repository(model, query)
        except ModelNotFound as error:
            raise ModelNotFound(f"{error}{_hint(' Near it are', model.partition('/')[2], '.')}") from error
    if stored := _stored((model,)):
        return stored
    hint = _hint("; near it are", model) or "; localrun list shows what is here"
    raise ModelNotFound(f"There is no model {model!r}{hint}.")


def _hint(lead: str, model: str, end: str = "") -> str:
    near = catalog.nearest(model)
    return f"{lead} {', '.join(near)}{end}" if near else ""


# ---- what is here


def _stored(names: Iterable[str], package: str | None = None) -> Offer | None:
    """What the stores on this machine have under one of these names, and what a package carries; None if nothing."""
    wanted = {name.casefold() for name in names}
    offers = [offer for offer in local.find_local() if offer.sets and offer.name.casefold() in wanted]
    if package and (packaged := local.packaged(package)):
        offers = [packaged, *(offer for offer in offers if offer.origin != "package")]
    return reduce(_merged, offers) if offers else None


def _is_enough(here: Offer, query: Query) -> bool:
    return not query.wide and any(query.quant is None or one.is_called(query.quant) for one in here.sets)


def _merged(first: Offer, second: Offer) -> Offer:
    """The sets of both; what the first has is not taken from the second."""
    more = tuple(one for one in second.sets if not any(_is_same(one, other) for other in first.sets))
    return replace(first, sets=(*first.sets, *more), notes=(*first.notes, *second.notes))


def _is_same(one: WeightSet, other: WeightSet) -> bool:
    """Whether they are one quantization, of which nobody needs two; a repository may have several models of it."""
    (file, *_), (twin, *_) = one.files, other.files
    if file.name == twin.name:
        return True
    is_elsewhere = file.repo != twin.repo or model_of(file.name) == model_of(twin.name)
    return bool(one.quant) and one.quant == other.quant and is_elsewhere


# ---- what the Hub has


def _from_catalog(entry: Entry, typed: str, query: Query) -> Offer:
    """What is here of it, else what the Hub has; both for a wide query."""
    repositories = [repository.name for repository in entry.repositories]
    here = _stored((typed, *repositories), entry.package)
    if here is not None:
        here = replace(here, name=entry.name, licence=entry.licence)
    return _with_hub(here, query, lambda: _first_repository(entry, query) if here else _hub_or_namesake(entry, query))


def _hub_or_namesake(entry: Entry, query: Query) -> Offer:
    """What the Hub has; where it cannot be asked, a repository that is here and is called just like the model.

    Such a one came by an earlier search.
    """
    try:
        return _first_repository(entry, query)
    except DownloadError:
        title = _words(entry.title)
        same = [offer.name for offer in local.find_local() if _words(offer.name.rpartition("/")[2]) == title]
        stored = _stored(same)
        if stored is None:
            raise
        return replace(stored, name=entry.name, licence=entry.licence)


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\s_-]+", name.casefold()) if word != "gguf"]


def _repository(repo: str, query: Query) -> Offer:
    """The sets of a repository; those that are here are enough for a query that is not wide."""
    return _with_hub(_stored((repo,)), query, lambda: _listed(repo, query))


def _with_hub(here: Offer | None, query: Query, ask: Callable[[], Offer]) -> Offer:
    """What is here if that is enough or all there is; else what the Hub says, with ours in the place of its own."""
    if here is None:
        return ask()
    if _is_enough(here, query):
        return here
    try:
        there = ask()
    except (DownloadError, ModelNotFound) as error:
        return replace(here, notes=(*here.notes, f"Only what is here was looked at: {error}"))
    return replace(_merged(here, there), origin=there.origin, licence=there.licence or here.licence)


def _first_repository(entry: Entry, query: Query) -> Offer:
    """The first repository that is there; else the most downloaded one that a search gives."""
    for repository in entry.repositories:
        try:
            return _named(entry, repository.name, query)
        except ModelNotFound:
            query.note(f"{repository.name} is not on the Hub any more.")
    found = listing.search(entry.title, note=query.note)
    if not found:
        raise ModelNotFound(f"The Hub has no GGUF repository of {entry.title}.")
    query.note(f"Taking {found[0].repo} instead, the most downloaded one for {entry.title!r}.")
    return _named(entry, found[0].repo, query)


def _named(entry: Entry, repo: str, query: Query) -> Offer:
    listed = _listed(repo, query)
    return replace(listed, name=entry.name, licence=listed.licence or entry.licence)


def _listed(repo: str, query: Query) -> Offer:
    found = listing.list_repo(repo, note=query.note)
    grouped = group(found.files)
    if not grouped.sets:
        raise ModelNotFound(" ".join([f"{repo} has no GGUF weights.", *grouped.notes]))
    return Offer(repo, "hub", grouped.sets, found.licence, grouped.notes)


def _only(offer: Offer, quant: str | None, *, strict: bool) -> Offer:
    """The sets of one quantization, and those that do not say theirs; all if there are none and it is not `strict`.

    Where `quant` names a file, that one.
    """
    if quant is None:
        return offer
    named = [one for one in offer.sets if one.is_called(quant)]
    is_file = any(one.quant.casefold() != quant.casefold() for one in named)
    sets = tuple(one for one in offer.sets if one in named or not (one.quant or is_file))
    if not sets and not strict:
        return offer
    if not sets:
        there = ", ".join(typed_name(offer, one).removeprefix(f"{offer.name}:") for one in offer.sets)
        raise ModelNotFound(" ".join([f"{offer.name} has no {quant}; it has {there}.", *offer.notes]))
    return replace(offer, sets=sets)
