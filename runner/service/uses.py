"""What a model is good for, by its header, and what a wish makes of that."""

from __future__ import annotations

from dataclasses import replace

from models.errors import BadFile, UsageError
from models.headers.kinds import FileKind, kind_of
from models.headers.pooling import Pooling, pooling_of, unranked
from models.headers.prefixes import Prefixes, prefixes_of
from models.names.instead import loadable
from runner.types.study import Study
from runner.types.vectors import Purpose
from runner.types.wish import Wish

_KINDS = {Purpose.CHAT: FileKind.CHAT, Purpose.EMBED: FileKind.EMBEDDING, Purpose.RANK: FileKind.RERANKER}
_INSTEAD = {
    FileKind.CHAT: "localrun answers with it",
    FileKind.EMBEDDING: "localrun embed makes vectors with it",
    FileKind.RERANKER: "localrun rerank ranks texts with it",
}


def use_of(study: Study) -> Purpose:
    """What the model is made for; CHAT, too, for what is good for nothing here, so that a plan of it says so."""
    kind = kind_of(study.sets[0].read.headers)
    return next((use for use, made_for in _KINDS.items() if made_for is kind), Purpose.CHAT)


def prefixes_for(study: Study) -> Prefixes | None:
    """What the model's maker wants in front of texts."""
    first = study.sets[0].read
    return prefixes_of(first.headers[0].kv, (first.weights.files[0].name, study.offer.name))


def checked(study: Study, wish: Wish) -> Wish:
    """The wish, with the pooling that its use takes.

    BadFile for a model that is not made for the use: then by how a text should become a vector it can be made to.
    UsageError where nobody says how.
    """
    first = study.sets[0].read
    name, kind = first.weights.files[0].name, kind_of(first.headers)
    is_forced = wish.use is Purpose.EMBED and wish.pooling is not None and kind is FileKind.CHAT
    if kind is not _KINDS[wish.use] and not is_forced:
        if kind is FileKind.MERGED:
            raise BadFile(f"{name} is {kind}. {loadable(study.offer.name)}")
        instead = f"; {_INSTEAD[kind]}" if kind in _INSTEAD else ""
        raise BadFile(f"{name} is {kind}, not {_KINDS[wish.use]}{instead}.")
    if wish.use is Purpose.CHAT:
        return wish
    if wish.use is Purpose.RANK:
        if why := unranked(first.headers):
            raise BadFile(f"{name} {why}.")
        return replace(wish, pooling=Pooling.RANK)
    pooling = wish.pooling or pooling_of(first.headers[0].kv)
    if pooling is None:
        raise UsageError(f"The header of {name} does not say how a text becomes one vector; --pooling does.")
    return replace(wish, pooling=pooling)
