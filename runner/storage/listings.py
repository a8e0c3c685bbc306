"""What the Hub offered of a model when it was last asked, kept on disk: a list of models needs no network then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from models.weights import Offer, WeightSet
from runner.storage.json_file import read_json, write_json
from runner.types.codec import pack, unpack


def remember(path: Path, offer: Offer) -> None:
    """Keep an offer under its name, if all its files have a digest."""
    files = [file for one in offer.sets for file in one.files]
    if files and all(file.sha256 is not None for file in files):
        known = {**recall(path), offer.name: offer}
        write_json(path, {name: pack(_portable(one)) for name, one in known.items()})


def _portable(offer: Offer) -> Offer:
    """Without paths: what is here is looked up anew."""
    sets = (
        WeightSet(one.quant, tuple(replace(file, path=None, modified=None) for file in one.files)) for one in offer.sets
    )
    return replace(offer, sets=tuple(sets))


def recall(path: Path) -> dict[str, Offer]:
    """The offers by name; none where the file is missing or damaged."""
    try:
        return {str(name): unpack(Offer, offer) for name, offer in read_json(path).items()}
    except (ValueError, TypeError, AttributeError):
        return {}
