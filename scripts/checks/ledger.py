"""Hold the ledger against llama.cpp's own memory breakdown, device by device, and print the table of errors.

Every geometry, context, KV type, ubatch and kind of placement is rehearsed on loopback devices and computed by
formula. `--record` keeps a sample of llama.cpp's numbers for the regression test, `--fit-params` asks llama.cpp's own
tool `llama-fit-params` as well.

    python -m scripts.checks.ledger
    python -m scripts.checks.ledger gemma-3-27b mixtral-8x22b --contexts 8192 --worst 20
    python -m scripts.checks.ledger --fit-params build/bin/llama-fit-params llama-3.3-70b
"""

import argparse
import csv
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from models.errors import EngineError
from models.headers.reader import parse
from models.headers.shape import ModelShape, shape_of
from runner.client.process import EngineProcess
from runner.cost.blocks import Blocks, blocks_of
from runner.cost.layout import HOST, Layout, contiguous, overrides_of
from runner.cost.ledger import ledger
from runner.types.machine import Device, Kind, Machine
from runner.types.plan import Placement
from runner.types.units import MIB
from scripts.synthetic.geometries import MODELS
from scripts.synthetic.headers import entries, header_bytes, make, metadata

CONTEXTS = (2048, 8192, 32768, 131072)
KV_TYPES = ("f16", "q8_0", "q4_0")
UBATCHES = (256, 512, 2048)
DEVICES = tuple(Device(f"GPU{index}", Kind.GPU, "stand-in", 0, 0) for index in range(3))
MACHINE = Machine("named", DEVICES, 0, 0, None, 1)
ALLOWED = {"weights": 0.003, "kv": 0.01, "total": 0.01}
_RECORDED_PER_KIND = 3


@dataclass(frozen=True, slots=True)
class Bytes:
    """What one device holds."""

    weights: int
    kv: int
    compute: int

    @property
    def total(self) -> int:
        """All three."""
        return self.weights + self.kv + self.compute


@dataclass(frozen=True, slots=True)
class Case:
    """One placement of one model; `kind` is what the table calls it."""

    model: str
    quant: str
    kind: str
    placement: Placement


@dataclass(frozen=True, slots=True)
class Row:
    """One device of a case: our numbers beside llama.cpp's."""

    case: Case
    device: str
    ours: Bytes
    real: Bytes

    def error(self, what: str) -> float:
        """Of `weights`, `kv`, `compute` or `total`, as a share of the true value; positive: we say too much."""
        ours, real = getattr(self.ours, what), getattr(self.real, what)
        return (ours - real) / real if real else float(ours != 0)


@cache
def shape(model: str, quant: str) -> ModelShape:
    """The shape of a model, from a header like the published one."""
    geometry = MODELS[model]
    return shape_of([parse(header_bytes(metadata(geometry, quant, "none"), entries(geometry, quant)))])


def layouts(blocks: Blocks) -> Iterator[tuple[str, Layout]]:
    """One layout of each kind; `parts` are FFN tensors, in a mixture of experts the routed ones."""
    total = len(blocks.layers)
    half, third = total // 2, total // 3

    def on(*counts: int) -> Layout:
        return contiguous(DEVICES[: len(counts)], counts, total)

    def without(plain: Layout, layers: Iterable[int], target: int = HOST) -> Layout:
        moved = {(layer, stem): target for layer in layers for stem in blocks.layers[layer].movable}
        return replace(plain, moved={**plain.moved, **moved})

    yield "host", on()
    yield "whole", on(total)
    yield "whole, two devices", on(half, total - half)
    yield "whole, three devices", on(third, half, total - half - third)
    yield "whole, in turn", replace(on(half, total - half), sequential=True)
    yield "partial", on(half)
    yield "partial, two devices", on(third, third)
    yield "parts on host", without(on(total), range(total // 4, half))
    yield "all parts on host", without(on(total), range(total))
    yield "partial, parts on host", without(on(total - third), range(third, half))
    yield "parts on host, two devices", without(on(half, total - half), range(third))
    yield "parts on the other device", without(on(half, total - half), range(third // 2, third), 1)


def cases(models: Iterable[str], quants: Iterable[str], contexts: Iterable[int] = CONTEXTS) -> Iterator[Case]:
    """The sweep, neighbours alike: one load serves all contexts of a placement."""
    for model, quant in product(models, quants):
        for kind, layout in layouts(blocks_of(shape(model, quant))):
            for ctx, kv_type, ubatch in product(contexts, KV_TYPES, UBATCHES):
                yield Case(model, quant, kind, _placement(layout, ctx, kv_type, ubatch))
            if kind == "whole":
                for ubatch in UBATCHES:
                    several = _placement(layout, 8192, "f16", ubatch)
                    yield Case(model, quant, "whole, all outputs", replace(several, outputs=ubatch))
                    yield Case(model, quant, "whole, four sequences", replace(several, outputs=4, sequences=4))


def _placement(layout: Layout, ctx: int, kv_type: str, ubatch: int) -> Placement:
    return Placement(
        devices=tuple(device.id for device in layout.devices),
        gpu_layers=layout.gpu_layers,
        layers_total=len(layout.layers),
        tensor_split=layout.counts,
        ctx=ctx,
        kv_type=kv_type,
        overrides=overrides_of(layout),
        ubatch=ubatch,
        load_mode="none",
    )


@cache
def computed(case: Case) -> Mapping[str, Bytes]:
    """Our own numbers, by device."""
    rows = ledger(shape(case.model, case.quant), MACHINE, case.placement)
    return {row.device: Bytes(row.weights, row.kv, row.compute) for row in rows}


class Stage:
    """Rehearses cases on loopback devices."""

    def __init__(self, child: EngineProcess, folder: Path) -> None:
        self._child, self._folder = child, folder
        names = [device.id for device in DEVICES]
        self._actors = dict(zip(names, child.ask("standins", count=len(names)), strict=True))
        self._names = {actor: name for name, actor in self._actors.items()}

    def rows(self, cases: Sequence[Case]) -> Iterator[Row]:
        """Every device of every case, all of one model. An AssertionError where llama.cpp refuses a placement."""
        (path,) = make(cases[0].model, cases[0].quant, self._folder, tokenizer="none")
        placements = [self._acted(case.placement) for case in cases]
        for case, said in zip(cases, self._child.ask("rehearse", path=str(path), placements=placements), strict=True):
            assert said["buffers"] is not None, f"{case}: {said['refusal']}"
            real = self._by_device(said["buffers"])
            for device, ours in computed(case).items():
                yield Row(case, device, ours, real.get(device, Bytes(0, 0, 0)))

    def _acted(self, placement: Placement) -> Placement:
        overrides = (replace(rule, device=self._actors.get(rule.device, rule.device)) for rule in placement.overrides)
        devices = tuple(self._actors[name] for name in placement.devices)
        return replace(placement, devices=devices, overrides=tuple(overrides))

    def _by_device(self, buffers: Sequence[Mapping[str, Any]]) -> Mapping[str, Bytes]:
        totals: dict[str, Bytes] = {}
        for row in buffers:
            name = self._names.get(row["device"], row["device"])
            sofar = totals.get(name, Bytes(0, 0, 0))
            totals[name] = Bytes(sofar.weights + row["weights"], sofar.kv + row["kv"], sofar.compute + row["compute"])
        return totals


# ---- the table


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Errors in percent by kind of placement, by model, and over all."""
    yield f"{'':34} rows  weights      kv     compute: median, worst      total: median, worst, within 1 %"
    groups: tuple[Callable[[Row], str], ...] = (
        lambda row: f"{row.case.kind}: {'host' if row.device == 'CPU' else 'device'}",
        lambda row: row.case.model,
        lambda row: f"KV {row.case.placement.kv_type}",
        lambda row: f"ubatch {row.case.placement.ubatch}",
        lambda row: f"context {row.case.placement.ctx}",
        lambda _row: "all",
    )
    for key in groups:
        grouped: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            grouped[key(row)].append(row)
        yield from (_line(name, members) for name, members in grouped.items())
        yield ""


def _line(name: str, rows: Sequence[Row]) -> str:
    errors = {what: [100 * abs(row.error(what)) for row in rows] for what in ("weights", "kv", "compute", "total")}
    compute, total = errors["compute"], errors["total"]
    good = sum(error <= 100 * ALLOWED["total"] for error in total) / len(total)
    return (
        f"{name:34}{len(rows):5}{max(errors['weights']):9.3f}{max(errors['kv']):8.3f}"
        f"{median(compute):17.3f}{max(compute):8.2f}{median(total):19.4f}{max(total):8.2f}{good:9.1%}"
    )


def _described(row: Row) -> str:
    place, real, ours = row.case.placement, row.real, row.ours
    return (
        f"{100 * row.error('total'):7.2f} %  {row.case.model} {row.case.kind}, {row.device}: ctx {place.ctx}, "
        f"{place.kv_type}, ubatch {place.ubatch}: compute {ours.compute / MIB:.1f}, llama.cpp {real.compute / MIB:.1f}"
        f" of {real.total / MIB:.1f} MiB"
    )


# ---- recorded rows

_FIELDS = ("model", "quant", "kind", "ctx", "kv_type", "ubatch", "device", "weights", "kv", "compute")


def sample(cases: Sequence[Case]) -> list[Case]:
    """A few of every kind of placement, so that every context, KV type and ubatch comes up with most others."""
    kinds: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        kinds[case.kind].append(case)
    return [
        members[(7 * number + step * len(members) // _RECORDED_PER_KIND) % len(members)]
        for number, members in enumerate(kinds.values())
        for step in range(_RECORDED_PER_KIND)
    ]


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """llama.cpp's numbers as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_FIELDS)
        for row in rows:
            place, real = row.case.placement, row.real
            what = (row.case.model, row.case.quant, row.case.kind, place.ctx, place.kv_type, place.ubatch)
            writer.writerow((*what, row.device, real.weights, real.kv, real.compute))


def read_rows(path: Path) -> Iterator[Row]:
    """Recorded rows beside what we compute today."""
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    known = {
        (case.model, case.quant, case.kind, case.placement.ctx, case.placement.kv_type, case.placement.ubatch): case
        for model, quant in dict.fromkeys((line["model"], line["quant"]) for line in lines)
        for case in cases([model], [quant])
    }
    for line in lines:
        what = (line["model"], line["quant"], line["kind"], int(line["ctx"]), line["kv_type"], int(line["ubatch"]))
        real = Bytes(int(line["weights"]), int(line["kv"]), int(line["compute"]))
        yield Row(known[what], line["device"], computed(known[what])[line["device"]], real)


# ---- llama.cpp's own tool


@contextmanager
def lent(log: Path, count: int) -> Iterator[str]:
    """The endpoint of `count` loopback devices for another process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{probe.getsockname()[1]}"
    with closing(EngineProcess(log)) as lender:

        def lend() -> None:
            with suppress(EngineError):  # it serves until it is ended
                lender.ask("lend", endpoint=endpoint, devices=["CPU"] * count, threads=1)

        threading.Thread(target=lend, daemon=True).start()
        _wait_for(endpoint)
        yield endpoint


def _wait_for(endpoint: str) -> None:
    host, _, port = endpoint.rpartition(":")
    for _ in range(1000):
        with suppress(OSError), socket.create_connection((host, int(port)), 1):
            return
        time.sleep(0.01)
    raise TimeoutError(f"no device at {endpoint}")


def tool_rows(binary: Path, endpoint: str, cases: Iterable[Case], folder: Path) -> Iterator[Row]:
    """What `llama-fit-params --fit-print` says, in whole MiB, beside our numbers cut the same way.

    The tool leaves repacked weights out of its line for the host, so that those are not compared.
    """
    for case in cases:
        (path,) = make(case.model, case.quant, folder, tokenizer="none")
        command = [str(binary), "-m", str(path), "--fit-print", "on", *_tool_flags(case.placement, endpoint)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        real = {name: Bytes(*(MIB * int(word) for word in words)) for name, *words in map(str.split, said.splitlines())}
        for number, (device, ours) in enumerate(computed(case).items()):
            theirs = real["Host" if device == "CPU" else f"RPC{number}"]
            weights = theirs.weights if device == "CPU" else _whole_mib(ours.weights)
            yield Row(case, device, Bytes(weights, _whole_mib(ours.kv), _whole_mib(ours.compute)), theirs)


def _tool_flags(placement: Placement, endpoint: str) -> Iterator[str]:
    ubatch = str(placement.ubatch)
    yield from ("--ctx-size", str(placement.ctx), "--batch-size", ubatch, "--ubatch-size", ubatch)
    yield from ("--cache-type-k", placement.kv_type, "--cache-type-v", placement.kv_type)
    yield from ("--gpu-layers", str(placement.gpu_layers))
    if placement.devices:
        yield from ("--rpc", endpoint, "--device", ",".join(f"RPC{index}" for index in range(len(placement.devices))))
        yield from ("--tensor-split", ",".join(map(str, placement.tensor_split)))
    if placement.overrides:
        yield from ("--override-tensor", ",".join(f"{rule.pattern}={rule.device}" for rule in placement.overrides))


def _whole_mib(size: int) -> int:
    return size // MIB * MIB


def _against_tool(binary: Path, models: Sequence[str], quants: Sequence[str], contexts: Iterable[int]) -> list[Row]:
    """Placements that the tool can be told, with outputs for every token as it plans them."""
    told = [case for case in cases(models, quants, contexts) if case.placement.sequences == 1 and _is_told(case)]
    plain = [replace(case, placement=replace(case.placement, outputs=case.placement.ubatch)) for case in told]
    with tempfile.TemporaryDirectory() as name, lent(Path(name) / "engine.log", len(DEVICES)) as endpoint:
        return list(tool_rows(binary, endpoint, plain, Path(name)))


def _is_told(case: Case) -> bool:
    on_host = all(rule.device == "CPU" for rule in case.placement.overrides)
    return (
        bool(case.placement.devices) and on_host and case.placement.kv_type != "q4_0" and case.placement.ubatch == 512
    )


def _rehearsed(
    models: Sequence[str], quants: Sequence[str], contexts: Sequence[int], choose: Callable[[list[Case]], list[Case]]
) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name, closing(EngineProcess(Path(name) / "engine.log")) as child:
        stage = Stage(child, Path(name))
        for model, quant in product(models, quants):
            rows += stage.rows(choose(list(cases([model], [quant], contexts))))
            print(f"{model} {quant}: {len(rows)} rows", file=sys.stderr, flush=True)
    return rows


def main() -> int:
    """The command line; 1 where weights, KV or more than one total in a hundred are off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of: {', '.join(MODELS)} (default: all)")
    parser.add_argument("--quants", default="Q4_K_M", help="a list with commas")
    parser.add_argument("--contexts", default=",".join(map(str, CONTEXTS)), help="a list with commas")
    parser.add_argument("--worst", type=int, default=10, metavar="N", help="list the N largest errors of a total")
    parser.add_argument("--record", type=Path, metavar="CSV", help="rehearse a sample only, and keep it")
    parser.add_argument("--fit-params", type=Path, metavar="BINARY", help="compare with llama-fit-params instead")
    options = parser.parse_args()
    models = options.models or list(MODELS)
    if unknown := [name for name in models if name not in MODELS]:
        parser.error(f"unknown: {', '.join(unknown)}")
    quants, contexts = options.quants.split(","), [int(word) for word in options.contexts.split(",")]
    if options.fit_params:
        rows = _against_tool(options.fit_params, models, quants, contexts)
    else:
        rows = _rehearsed(models, quants, contexts, choose=sample if options.record else list)
    if options.record:
        write_rows(options.record, rows)
    print(*table(rows), sep="\n")
    for row in sorted(rows, key=lambda row: -abs(row.error("total")))[: options.worst]:
        print(_described(row))
    beyond = sum(abs(row.error("total")) > ALLOWED["total"] for row in rows)
    exact = all(abs(row.error(what)) <= ALLOWED[what] for row in rows for what in ("weights", "kv"))
    return 0 if exact and beyond <= len(rows) // 100 else 1


if __name__ == "__main__":
    sys.exit(main())
