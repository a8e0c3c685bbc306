"""The catalog: short names for models people ask for, and the Hub repositories that hold their weights. Edge: its file.

It knows names, not machines: which of a family runs well here is the planner's to say.
"""

import functools
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from models.entry import Entry, Repository, Sibling
from models.errors import ModelError
from models.files import model_of

CATALOG = Path(__file__).with_name("catalog.toml")
# Words of a full model name that say nothing about which model it is.
IDLE_WORDS = frozenset({"meta", "instruct", "it", "chat", "gguf"})
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


KEYS: dict[str, Callable[[object], bool]] = {
    "name": _is_text,
    "title": _is_text,
    "family": _is_text,
    "licence": _is_text,
    "parameters": _is_count,
    "active": _is_count,
    "aliases": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "package": _is_text,
    "embeds": lambda value: isinstance(value, bool),
    "draft": lambda value: isinstance(value, dict),
    "repositories": lambda value: isinstance(value, list) and value != [] and all(isinstance(v, dict) for v in value),
}
OPTIONAL = frozenset({"active", "aliases", "package", "embeds", "draft"})


@functools.cache
def entries() -> tuple[Entry, ...]:
    """All entries, in the catalog's order."""
    return parse(CATALOG.read_text(encoding="utf-8"))


def lookup(name: str) -> Entry | None:
    """The entry of that name or alias; case, separators and words such as Instruct do not matter."""
    return _index().get(_fold(name))


def of_repository(repo: str) -> Entry | None:
    """The entry that names this repository."""
    wanted = repo.casefold()
    return next((one for one in entries() if any(wanted == other.name.casefold() for other in one.repositories)), None)


def meant_by(name: str) -> Entry | None:
    """The entry that a catalog name, a repository, a file or a model's own name stands for, if any does."""
    return of_repository(name) or lookup(name) or lookup(model_of(name))


def nearest(name: str, count: int = 3) -> tuple[str, ...]:
    """Names in the catalog that resemble `name`, best first."""
    import difflib

    index = _index()
    close = difflib.get_close_matches(_fold(name[:100]), index, n=3 * count, cutoff=0.5)
    return tuple(dict.fromkeys(index[match].name for match in close))[:count]


def models_of_family(name: str) -> tuple[Entry, ...]:
    """The models of a family, smallest first; `name` is the family's or that of one of its models."""
    entry = lookup(name)
    wanted = _fold(entry.family if entry else name)
    return tuple(sorted((e for e in entries() if _fold(e.family) == wanted), key=lambda e: e.parameters))


def parse(text: str) -> tuple[Entry, ...]:
    """Entries from TOML; raises ModelError saying what is wrong with which entry."""
    try:
        tables = tomllib.loads(text).get("model", [])
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"The catalog is not TOML: {error}.") from error
    parsed = tuple(_entry(table) for table in tables)
    names = [name for entry in parsed for name in {_fold(n) for n in (entry.name, *entry.aliases)}]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ModelError(f"The catalog gives more than one model the name {twice[0]}.")
    known = {entry.name for entry in parsed}
    if strange := [entry.draft.name for entry in parsed if entry.draft and entry.draft.name not in known]:
        raise ModelError(f"The catalog lets {strange[0]} guess, which it does not have.")
    return parsed


def _entry(table: dict[str, Any]) -> Entry:
    wrong = [key for key, is_right in KEYS.items() if key in table and not is_right(table[key])]
    _refuse_if(table, "unknown", table.keys() - KEYS.keys())
    _refuse_if(table, "missing", KEYS.keys() - OPTIONAL - table.keys())
    _refuse_if(table, "wrong", wrong)
    active = table.get("active", table["parameters"])
    _refuse_if(table, "more active than all parameters:", ["active"] if active > table["parameters"] else [])
    fields = {
        "active": active,
        "aliases": tuple(table.get("aliases", ())),
        "repositories": tuple(_repository(table, repository) for repository in table["repositories"]),
        "draft": _sibling(table, table["draft"]) if "draft" in table else None,
    }
    return Entry(**(table | fields))


def _sibling(table: dict[str, Any], draft: dict[str, Any]) -> Sibling:
    _refuse_if(table, "not a model with its source:", [] if draft.keys() == {"name", "source"} else ["draft"])
    _refuse_if(table, "no https address:", [] if str(draft["source"]).startswith("https://") else ["draft"])
    return Sibling(str(draft["name"]), str(draft["source"]))


def _repository(table: dict[str, Any], repository: dict[str, Any]) -> Repository:
    name, source = repository.get("name", ""), repository.get("source", "")
    _refuse_if(table, "not a repository with its source:", [] if repository.keys() == {"name", "source"} else [name])
    _refuse_if(table, "not org/name:", [] if REPOSITORY.fullmatch(name) else [name])
    _refuse_if(table, "no https address:", [] if source.startswith("https://") else [source])
    return Repository(name, source)


def _refuse_if(table: dict[str, Any], problem: str, found: Iterable[str]) -> None:
    if words := sorted(found):
        raise ModelError(f"The catalog entry {table.get('name')!r} is damaged: {problem} {', '.join(words)}.")


@functools.cache
def _index() -> Mapping[str, Entry]:
    return {_fold(name): entry for entry in entries() for name in (entry.name, *entry.aliases)}


def _fold(name: str) -> str:
    """A name without case, separators and idle words."""
    words = re.split(r"[\s._:-]+", name.casefold())
    return "".join(word for word in words if word not in IDLE_WORDS)
