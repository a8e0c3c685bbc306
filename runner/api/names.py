"""Which models a request may name: those that the server was started with, and those that are here.

A name in a request never leads to a file or to the Hub.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models.errors import ModelNotFound
from models.names import catalog
from models.names.resolve import split_quant
from runner.service import library
from runner.types.service import Choice
from runner.types.wish import Wish


@dataclass(frozen=True, slots=True)
class Known:
    """A model: `name` is what requests call it, `typed` what a service takes, with a `wish` of its own or without."""

    name: str
    typed: str
    wish: Wish | None = None


class Names:
    """`serve` makes what a person has typed one of the names, a file too; what is here is one by itself."""

    def __init__(self) -> None:
        self._served: dict[str, Known] = {}

    def serve(self, typed: str) -> Known:
        """A file is called as it is without folder and ending."""
        path = Path(typed).expanduser()
        name = path.stem if path.is_file() else path.name if path.is_dir() else typed
        return self._served.setdefault(name.casefold(), Known(name, typed))

    def listed(self) -> Sequence[Choice]:
        """Every name, those that the server was started with first."""
        here = {row.name.casefold(): row for row in library.here()}
        served = [replace(here.pop(key, Choice(known.name)), name=known.name) for key, known in self._served.items()]
        return [*served, *here.values()]

    @property
    def default(self) -> str:
        """What a request means that names none: the only one that the server was started with; empty for none."""
        return next(iter(self._served.values())).name if len(self._served) == 1 else ""

    def meant(self, name: str) -> Known:
        """The model that a request names. ModelNotFound."""
        if known := self._served.get(name.casefold()):
            return known
        if (row := _here(name)) is not None:
            return self._served.get(row.name.casefold(), Known(row.name, row.name))
        raise ModelNotFound(f"There is no model {name!r} here." if name else "The request names no model.")


def _here(name: str) -> Choice | None:
    """What is here under this name, or under another name of the same; with a quantization that one."""
    rows = library.here()
    base, quant = split_quant(name)
    entry = catalog.lookup(base)
    for row in rows:
        model, own = split_quant(row.name)
        is_model = model.casefold() == base.casefold() or (entry is not None and catalog.lookup(model) is entry)
        own = own or row.quant
        if is_model and (quant is None or (own or "").casefold() == quant.casefold()):
            return row
    return None
