"""A model of the catalog, as data. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository on the Hub, `org/name`, and the address of a page that names it."""

    name: str
    source: str


@dataclass(frozen=True, slots=True)
class Sibling:
    """The `name` of a small model of the catalog with the same vocabulary, and a page on which it guesses for it."""

    name: str
    source: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One model. `parameters` counts all, `active` those that one token uses (the same for a dense model).

    `repositories` are in order of preference. `package` is an importable package that carries weights of it, or None.
    `embeds`: it makes vectors of texts and answers nothing. `draft`: who may guess for it; None where nobody is known.
    """

    name: str
    title: str
    family: str
    licence: str
    parameters: int
    active: int
    repositories: tuple[Repository, ...]
    aliases: tuple[str, ...] = ()
    package: str | None = None
    embeds: bool = False
    draft: Sibling | None = None
