"""Measured speeds as a record that anybody may send: what machine, what model, where it lay, how fast it was. Pure.

docs/records.md describes the format. Nothing in it names a person, a file or a place.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from models.headers.gguf import Array, Header, TensorInfo
from models.headers.quants import TYPES
from models.headers.shape import ModelShape
from runner.report.contract import Json, planned_and_measured, predicted_json
from runner.report.words import parameters
from runner.types.codec import pack
from runner.types.machine import Device, Kind, Machine
from runner.types.measurement import Benchmark
from runner.types.service import Session
from runner.types.study import StudiedSet

FORMAT = 1
_BLOCK = re.compile(r"blk\.(\d+)\.")


def text_of(record: Json) -> str:
    """A record as it stands in its file."""
    return json.dumps(record, indent=1) + "\n"


# ---- a benchmark


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Of a measurement: the day (UTC), the versions of llama.cpp and of NVIDIA's driver, None without one."""

    date: str
    llama_cpp: str
    driver: str | None


def bench_record(measured: Benchmark, session: Session, studied: StudiedSet, when: Circumstances) -> Json:
    """What a benchmark found, as a record of one row."""
    model = f"{studied.shape.arch} {parameters(studied.shape.parameters)}, {studied.shape.bits_per_weight:.1f} bits"
    return {
        "format": FORMAT,
        **pack(when),
        "fit_by": None,
        "random_weights": False,
        "machine": anonymous_machine(session.plan.machine),
        "models": {model: geometry_json(studied.read.headers, studied.shape)},
        "rows": [{"model": model, **_bench_row(measured, session)}],
    }


def _bench_row(measured: Benchmark, session: Session) -> Json:
    """Its decode and its prefill are two requests, each without the other half."""
    decoded = {"prompt": 1, "answer": measured.last.completion_tokens - 1}
    return {
        "case": "bench",
        "variant": "plan",
        "vram_limit": session.plan.wish.vram_limit,
        "placement": pack(session.placement),
        "predicted": predicted_json(session.candidate.predicted),
        "load_s": round(session.loaded.load_s, 2),
        "memory": planned_and_measured(session.candidate.memory, session.loaded.held),
        "requests": [
            {**decoded, "prefill_tps": None, "decode_tps": round(measured.decode_tps, 2)},
            {
                "prompt": measured.prompt_tokens,
                "answer": 0,
                "prefill_tps": round(measured.prefill_tps, 1),
                "decode_tps": None,
            },
        ],
    }


def shared_sentence(path: str) -> str:
    """Where a record is, and what it holds."""
    return (
        f"{path} holds this machine's hardware, the model's geometry, its placement and its speeds, "
        "predicted and measured: no names, no paths, no words of the model."
    )


# ---- its parts


def anonymous_machine(machine: Machine) -> Json:
    """Everything that a prediction depends on; no PCI ids, no notes, no addresses (which RPC devices are named by)."""
    fields: Json = pack(replace(machine, devices=tuple(map(_anonymous, machine.devices)), notes=()))
    for device in fields["devices"]:
        del device["uid"]
    return fields


def _anonymous(device: Device) -> Device:
    return replace(device, name="RPC", lent=device.lent and device.lent.nameless) if device.kind is Kind.RPC else device


def geometry_json(headers: Sequence[Header], shape: ModelShape) -> Json:
    """A model by its numbers and tensors, like ones of several layers in one line; no name, no words of its tokens."""
    arch = shape.arch
    settings = {
        key.removeprefix(f"{arch}."): list(value.values or ()) if isinstance(value, Array) else value
        for key, value in headers[0].kv.items()
        if key.startswith(f"{arch}.") and _is_numeric(value)
    }
    tensors = chain.from_iterable(header.tensors for header in headers)
    return {"arch": arch, "vocabulary": shape.vocabulary, "settings": settings, "tensors": [*_grouped(tensors)]}


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
