"""Ask the Hub about the catalog's repositories: python -m scripts.checks.catalog [NAME...]

Prints one line per repository. Exit code 0 if each is there, holds GGUF files and has the licence that the catalog
says; 1 if one differs; 2 if a name is not in the catalog; 4 if the Hub does not answer.
"""

import argparse
import sys
from collections.abc import Callable, Iterable

from models.entry import Entry
from models.errors import LocalrunError, ModelNotFound
from models.hub.listing import Listing, list_repo
from models.names import catalog


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts.checks.catalog", description="Ask the Hub about the catalog.")
    parser.add_argument("names", nargs="*", help="only these models")
    names = parser.parse_args(arguments).names
    if unknown := [name for name in names if catalog.lookup(name) is None]:
        parser.error(f"not in the catalog: {', '.join(unknown)}")
    chosen = [entry for entry in catalog.entries() if not names or entry in map(catalog.lookup, names)]
    try:
        return check(chosen)
    except LocalrunError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def check(entries: Iterable[Entry], ask: Callable[[str], Listing] = list_repo) -> int:
    """Print what the Hub says of every repository; 0 if nothing differs from the catalog, else 1."""
    wrong = 0
    for entry in entries:
        for repository in entry.repositories:
            problem, what = _verdict(entry, repository.name, ask)
            if problem:
                wrong += 1
            print(f"{'BAD' if problem else 'ok ':4}{entry.name:30}{repository.name:50}{what}", flush=True)
    return min(wrong, 1)


def _verdict(entry: Entry, repository: str, ask: Callable[[str], Listing]) -> tuple[bool, str]:
    try:
        listing = ask(repository)
    except ModelNotFound:
        return True, "there is no such repository"
    weights = sum(file.name.endswith(".gguf") for file in listing.files)
    differs = (
        f", licence {listing.licence}, not {entry.licence}" if listing.licence not in (None, entry.licence) else ""
    )
    return not weights or bool(differs), f"{weights} GGUF files{', gated' if listing.is_gated else ''}{differs}"


if __name__ == "__main__":
    sys.exit(main())
