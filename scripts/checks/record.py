"""Measured speeds as a file that anybody may send: what machine, what model, where it lay, how fast it was.

docs/records.md describes the format. Nothing in it names a person, a file or a place.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from models.errors import BadFile
from models.headers.gguf import Array, Header, TensorInfo
from models.headers.gguf_bytes import STRING
from models.headers.quants import TYPES
from models.headers.reader import parse
from models.headers.shape import ModelShape, shape_of
from models.stores.replacing import replace_file
from runner.report.contract import Json
from runner.types.codec import pack, unpack
from runner.types.machine import Device, Kind, Machine
from runner.types.placement import Placement
from scripts.checks.placed import Placed, placed
from scripts.synthetic.headers import Entry, header_bytes
from scripts.synthetic.typed import U32, Typed, typed

FORMAT = 1
_BLOCK = re.compile(r"blk\.(\d+)\.")
_NUMBERS = {kind.name: number for number, kind in TYPES.items()}


# ---- written


def machine_json(machine: Machine) -> Json:
    """Everything that a prediction depends on; no PCI ids, no notes, no addresses (which RPC devices are named by)."""
    fields: Json = pack(replace(machine, devices=tuple(map(_anonymous, machine.devices)), notes=()))
    for device in fields["devices"]:
        del device["uid"]
    return fields


def _anonymous(device: Device) -> Device:
    return replace(device, name="RPC") if device.kind is Kind.RPC else device


def geometry_json(header: Header, shape: ModelShape) -> Json:
    """A model by its numbers and tensors, like ones of several layers in one line; no name, no words of its tokens."""
    arch = shape.arch
    settings = {
        key.removeprefix(f"{arch}."): list(value.values or ()) if isinstance(value, Array) else value
        for key, value in header.kv.items()
        if key.startswith(f"{arch}.") and _is_numeric(value)
    }
    return {"arch": arch, "vocabulary": shape.vocabulary, "settings": settings, "tensors": [*_grouped(header.tensors)]}


def _is_numeric(value: object) -> bool:
    if isinstance(value, Array):
        return bool(value.values) and not isinstance((value.values or ("",))[0], str)
    return isinstance(value, bool | int | float)


def _grouped(tensors: Iterable[TensorInfo]) -> Iterator[str]:
    """`blk.*.attn_q.weight 4096x4096 Q4_K 0-3,5`: name, dimensions, type, layers; `-` for what belongs to none."""
    groups: dict[tuple[str, tuple[int, ...], str], list[int]] = defaultdict(list)
    for tensor in tensors:
        found = _BLOCK.match(tensor.name)
        name = f"blk.*.{tensor.name[found.end() :]}" if found else tensor.name
        groups[name, tensor.dims, TYPES[tensor.type].name] += [int(found[1])] if found else []
    for (name, dims, kind), layers in groups.items():
        yield f"{name} {'x'.join(map(str, dims))} {kind} {_ranges(layers) or '-'}"


def _ranges(numbers: Sequence[int]) -> str:
    """`0-3,5` of 0, 1, 2, 3, 5."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)


# ---- read


def read(path: Path) -> Json:
    """A record; BadFile where this is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadFile(f"{path} cannot be read: {error}.") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise BadFile(f"{path} is no record of format {FORMAT}.")
    return found


def placed_row(found: Json, row: Json) -> Placed:
    """A row of a record as the speed model takes it. BadFile where it names what the record lacks."""
    try:
        machine, placement = unpack(Machine, found["machine"]), unpack(Placement, row["placement"])
        return placed(_shape(json.dumps(found["models"][row["model"]])), machine, placement)
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


def write(path: Path, record: Json) -> None:
    """The file, whole or not at all: who reads it meanwhile, or after a kill, finds the rows so far."""
    replace_file(path, (json.dumps(record, indent=1) + "\n").encode())
