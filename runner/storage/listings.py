"""What the Hub offered of a model when it was last asked, kept on disk: a list of models needs no network then."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from models.weights import Offer, WeightSet
from runner.types.codec import pack, unpack


def remember(path: Path, offer: Offer) -> None:
    """Keep an offer under its name, if all its files have a digest; a disk that refuses costs only that."""
    files = [file for one in offer.sets for file in one.files]
    if not files or any(file.sha256 is None for file in files):
        return
    known = {name: pack(_portable(other)) for name, other in recall(path).items()}
    known[offer.name] = pack(_portable(offer))
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(known), "utf-8")
        fresh.replace(path)
    except OSError:
        return


def _portable(offer: Offer) -> Offer:
    """Without paths: what is here is looked up anew."""
    sets = (WeightSet(one.quant, tuple(replace(file, path=None) for file in one.files)) for one in offer.sets)
    return replace(offer, sets=tuple(sets))


def recall(path: Path) -> dict[str, Offer]:
    """The offers by name; none where the file is missing or damaged."""
    try:
        known = json.loads(path.read_text("utf-8"))
        return {str(name): unpack(Offer, offer) for name, offer in known.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
