"""Ask the Hub about the catalog's repositories: python -m scripts.checks.catalog [--headers] [NAME...]

Prints one line per repository. Exit code 0 if each is there, holds GGUF files and has the licence that the catalog
says, and with `--headers` the sizes; 1 if one differs; 2 if a name is not in the catalog; 4 if the Hub does not answer.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from models.entry import Entry
from models.errors import LocalrunError, ModelNotFound
from models.files import group
from models.headers.roles import Role
from models.headers.shape import ModelShape, shape_of
from models.hub.listing import Listing, list_repo
from models.hub.remote import read_headers
from models.names import catalog

# How far the catalog may be off: makers round, and count what a token uses with or without embeddings.
_PARAMETERS, _ACTIVE = 0.05, 0.35
Ask = Callable[[str], Listing]
Read = Callable[[Listing], ModelShape]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts.checks.catalog", description="Ask the Hub about the catalog.")
    parser.add_argument("names", nargs="*", help="only these models")
    parser.add_argument("--headers", action="store_true", help="read a header of each, and compare the sizes")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.names if catalog.lookup(name) is None]:
        parser.error(f"not in the catalog: {', '.join(unknown)}")
    named = [catalog.lookup(name) for name in asked.names]
    chosen = [entry for entry in catalog.entries() if not named or entry in named]
    try:
        return check(chosen, read=shape_on_the_hub if asked.headers else None)
    except LocalrunError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def check(entries: Iterable[Entry], ask: Ask = list_repo, read: Read | None = None) -> int:
    """Print what the Hub says of every repository; 0 if nothing differs from the catalog, else 1.

    `read` gives the shape of a repository's weights; without it no header is read.
    """
    wrong = 0
    for entry in entries:
        for repository in entry.repositories:
            problem, what = _verdict(entry, repository.name, ask, read)
            if problem:
                wrong += 1
            print(f"{'BAD' if problem else 'ok ':4}{entry.name:30}{repository.name:50}{what}", flush=True)
    return min(wrong, 1)


def shape_on_the_hub(listing: Listing, endpoint: str | None = None) -> ModelShape:
    """The shape of the largest weights of a repository, which are no projector's, by their header."""
    with TemporaryDirectory() as cache:
        reading = read_headers(group(listing.files).sets[:1], Path(cache), endpoint=endpoint)
    return shape_of(reading.sets[0].headers)


def _verdict(entry: Entry, repository: str, ask: Ask, read: Read | None) -> tuple[bool, str]:
    try:
        listing = ask(repository)
    except ModelNotFound:
        return True, "there is no such repository"
    weights = sum(file.name.endswith(".gguf") for file in listing.files)
    same = listing.licence in (None, entry.licence)
    differs = [] if same else [f"licence {listing.licence}, not {entry.licence}"]
    if read is not None and weights:
        differs += differing_sizes(entry, read(listing))
    gated = ["gated"] if listing.is_gated else []
    return not weights or bool(differs), ", ".join([f"{weights} GGUF files", *gated, *differs])


def differing_sizes(entry: Entry, shape: ModelShape) -> Iterator[str]:
    """What a header says otherwise than the catalog, as `30.53B parameters, not 32.80B`."""
    share = 1 - shape.experts_used / shape.experts if shape.experts else 0
    idle = share * sum(tensor.elements for tensor in shape.tensors if tensor.role is Role.EXPERT)
    found = (
        ("parameters", shape.parameters, entry.parameters, _PARAMETERS),
        ("active", shape.parameters - idle, entry.active, _ACTIVE),
    )
    for what, size, said, tolerance in found:
        if abs(size / said - 1) > tolerance:
            yield f"{size / 1e9:.2f}B {what}, not {said / 1e9:.2f}B"


if __name__ == "__main__":
    sys.exit(main())
