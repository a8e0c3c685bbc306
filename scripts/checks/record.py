"""Records of measured speeds (docs/records.md) from their files, as the speed model takes them."""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from models.errors import BadFile
from models.headers.gguf_bytes import STRING
from models.headers.quants import TYPES
from models.headers.reader import parse
from models.headers.shape import ModelShape, shape_of
from runner.cost.laid_out import LaidOut, laid_out
from runner.report.contract import Json
from runner.report.record import FORMAT
from runner.types.codec import unpack
from runner.types.machine import Machine
from runner.types.placement import Placement
from scripts.synthetic.headers import Entry, header_bytes
from scripts.synthetic.typed import U32, Typed, typed

_NUMBERS = {kind.name: number for number, kind in TYPES.items()}


def read(path: Path) -> Json:
    """A record; BadFile where this is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadFile(f"{path} cannot be read: {error}.") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise BadFile(f"{path} is no record of format {FORMAT}.")
    return found


def placed_row(found: Json, row: Json) -> LaidOut:
    """A row of a record as the speed model takes it. BadFile where it names what the record lacks."""
    try:
        machine, placement = unpack(Machine, found["machine"]), unpack(Placement, row["placement"])
        return laid_out(_shape(json.dumps(found["models"][row["model"]])), machine, placement)
    except (LookupError, TypeError, ValueError) as error:
        raise BadFile(f"A row cannot be understood: {error}.") from None


@cache
def _shape(text: str) -> ModelShape:
    """The shape of a model in a record, as if its header had been read."""
    found = json.loads(text)
    arch = found["arch"]
    kv = {
        "general.architecture": Typed(STRING, arch),
        "tokenizer.ggml.model": Typed(STRING, "none"),
        **{f"{arch}.{key}": typed(value) for key, value in found["settings"].items()},
        f"{arch}.vocab_size": Typed(U32, found["vocabulary"]),
    }
    return shape_of([parse(header_bytes(kv, [*_entries(found["tensors"])]))])


def _entries(lines: Iterable[str]) -> Iterator[Entry]:
    for line in lines:
        name, dims, kind, layers = line.split(" ")
        for layer in _numbers(layers) if layers != "-" else ("",):
            yield Entry(name.replace("*", str(layer)), tuple(map(int, dims.split("x"))), _NUMBERS[kind])


def _numbers(ranges: str) -> Iterator[int]:
    for run in ranges.split(","):
        first, _, last = run.partition("-")
        yield from range(int(first), int(last or first) + 1)
