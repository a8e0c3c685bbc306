"""Measured and published speeds as cases for the speed model: the files in tests/data, read and made predictable.

Weights are those of scripts/synthetic/timed.py, laid out as llama.cpp would lay them, or described by hand in the file.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from models.headers.reader import parse
from models.headers.shape import shape_of
from runner.cost.blocks import Blocks, blocks_of, cycles_of
from runner.cost.certainty import spread_class
from runner.cost.forecast import sampling_seconds, work_of
from runner.cost.kernels import backend_of
from runner.cost.kv import ContextSettings
from runner.cost.laid_out import layout_of
from runner.cost.layout import HOST, Layout, contiguous
from runner.cost.roads import decode_seconds, prefill_seconds
from runner.cost.speed import decode_tps, prefill_tps
from runner.cost.visits import visits
from runner.cost.work import Offload, Prefill, Work
from runner.hardware.described_group import parse_hardware
from runner.types.machine import Machine
from runner.types.placement import Override
from scripts.checks import record
from scripts.synthetic.headers import entries, header_bytes, metadata
from scripts.synthetic.timed import TIMED

DATA = Path(__file__).parents[2] / "tests" / "data"
Json = Mapping[str, Any]
_IDS = {"Metal": "MTL"}
_DECODED_2024 = (512, 1024, 4096, 8192)
_BENCH_TOKENS = 128
_CTX = 131072  # of llama-bench nothing is read but the cells in use
# Quantizations that no geometry is made of: the nearest one, and bits of the wanted over bits of that.
_NEAR = {"Q4_1": ("Q4_0", 5.0 / 4.5), "IQ2_XXS": ("IQ2_M", 2.38 / 2.93)}


@dataclass(frozen=True, slots=True)
class Case:
    """One measured number. `tokens` decoded, or read as a prompt (`prompt` not None), from `depth` on.

    `between`: seconds of the network, for each token or each ubatch.
    """

    source: str
    hardware: str
    model: str
    tokens: int
    depth: int
    tps: float
    machine: Machine
    work: tuple[Work, ...]
    splits: int | None = None
    sampling: float = 0.0
    prompt: Prefill | None = None
    name: str = ""
    between: float = 0.0

    @property
    def predicted(self) -> float:
        """Tokens per second by the speed model."""
        if self.prompt is None:
            return decode_tps(self.work, self.machine, self.splits, self.sampling + self.between)
        here, batch = prefill_tps(self.work, self.machine, self.prompt), self.prompt.batch
        return batch / (batch / here + self.between)

    @property
    def error(self) -> float:
        """Predicted over measured less one."""
        return self.predicted / self.tps - 1

    @property
    def kind(self) -> str:
        """What its spread is counted with."""
        return spread_class(self.work)

    @property
    def backend(self) -> str:
        """The first device's, CPU without devices."""
        return backend_of(self.machine.devices[0]) if self.machine.devices else "CPU"

    def __str__(self) -> str:
        test = f"{'prefill' if self.prompt else 'decode'} {self.tokens}@{self.depth}"
        return f"{self.source:13} {self.hardware[:26]:26} {self.backend:16} {self.model[:28]:28} {test:20}"


@dataclass(frozen=True, slots=True)
class ByHand:
    """Weights whose shape is not known: see the comment in published_speeds_2026.toml."""

    type: str
    bits: float
    parameters: float
    weights: float
    layers: int
    kv: float
    attention: float
    experts: float = 1.0
    recurrent: int = 0

    @property
    def routed(self) -> float:
        """Weights of routed experts, of which one in `experts` is read."""
        return (self.parameters - self.weights) / (1 - 1 / self.experts) if self.experts > 1 else 0.0

    def work(self, machine: Machine, depth: int, moved: float) -> Iterator[Work]:
        """The layers dealt evenly to the devices, with the share `moved` of the experts on the host."""
        share = 1 / max(1, len(machine.devices))
        core = self.weights - self.routed / self.experts
        for device in machine.devices or (None,):
            yield replace(
                self._part(core * share, self.routed * (1 - moved) * share, self.layers * share * (1 - moved / 2)),
                device=device,
                kv_bytes=self.kv * depth * share,
                attention=2 * self.attention * depth * share,
                recurrent=self.recurrent * share,
                routing=self.layers * share if self.routed else 0,
            )
        if moved:
            yield self._part(0, self.routed * moved, self.layers * moved / 2)

    def _part(self, core: float, routed: float, layers: float) -> Work:
        read, size = core + routed / self.experts, self.bits / 8
        unpack, slow = cycles_of(self.type)
        return Work(
            device=None,
            weight_bytes=read * size,
            weights=read,
            stored_bytes=(core + routed) * size,
            layers=layers,
            unpack=read * unpack,
            slow=read * slow,
            routed=routed,
            routed_bytes=routed * size,
            untouched=1 - 1 / self.experts,
        )


@cache
def blocks(geometry: str, quant: str) -> Blocks:
    """The blocks of a published file of this geometry."""
    shape = TIMED[geometry]
    return blocks_of(shape_of([parse(header_bytes(metadata(shape, quant, "none"), entries(shape, quant)))]))


@cache
def machine_of(hardware: str, backend: str = "", count: int = 1) -> Machine:
    """Named hardware, its devices those of `backend`."""
    machine = parse_hardware(hardware)
    devices = machine.devices * count
    if backend:
        named = _IDS.get(backend, backend)
        devices = tuple(replace(device, id=f"{named}{number}") for number, device in enumerate(devices))
    return replace(machine, devices=devices)


def blocks_like(model: str) -> tuple[Blocks, float]:
    """The blocks of `geometry quantization`, or of the nearest there are, and its bytes over theirs."""
    geometry, quant = model.split()
    near, scale = _NEAR.get(quant, (quant, 1.0))
    return blocks(geometry, near), scale


# ---- 2025 and 2026


@cache
def recent() -> tuple[Case, ...]:
    """Every row that counts."""
    return tuple(_published(doubted=False))


@cache
def doubted() -> tuple[Case, ...]:
    """The rows that are kept and do not count."""
    return tuple(_published(doubted=True))


def load(name: str) -> Json:
    """One of the files in tests/data."""
    return tomllib.loads((DATA / name).read_text(encoding="utf-8"))


def _published(*, doubted: bool) -> Iterator[Case]:
    data = load("published_speeds_2026.toml")
    by_hand = {name: ByHand(**fields) for name, fields in data["models"].items()}
    for table in data["tables"]:
        if ("doubt" in table) == doubted:
            for hardware, model, *tests in table["rows"]:
                for test, tps in zip(tests[::2], tests[1::2], strict=True):
                    yield _case(table, hardware, (model, by_hand.get(model)), test, tps)


def _case(table: Json, hardware: str, model: tuple[str, ByHand | None], test: str, tps: float) -> Case:
    name, _, at = test.partition("@")
    tokens, depth = int(name[2:]), int(at or 0)
    machine = machine_of(hardware, table["backend"])
    if "ram_gbps" in table:
        machine = replace(machine, ram_bandwidth=table["ram_gbps"] * 1e9, cores=table["cores"])
    ubatch = table.get("ubatch", 512)
    settings = ContextSettings(_CTX, table.get("kv", "f16"), ubatch)
    work, splits = _work(model, table, machine, settings, depth + tokens // 2)
    prompt = Prefill(tokens, ubatch, Offload(table.get("pinned", True))) if name.startswith("pp") else None
    return Case(table["source"], hardware, model[0], tokens, depth, tps, machine, work, splits, prompt=prompt)


def _work(
    model: tuple[str, ByHand | None], table: Json, machine: Machine, settings: ContextSettings, depth: int
) -> tuple[tuple[Work, ...], int]:
    """What llama-bench lets each device do at a mean depth, and the graph splits."""
    name, by_hand = model
    experts, layers = table.get("experts_on_host", 0), table.get("layers_on_host", 0)
    if by_hand is not None:
        moved = min(experts, by_hand.layers)
        splits = 1 + len(machine.devices) + 2 * moved
        return tuple(by_hand.work(machine, depth, moved / by_hand.layers)), splits
    built, scale = blocks_like(name)
    layout = _layout(built, machine, experts, layers)
    return tuple(scaled(work_of(built, layout, settings, depth), scale)), layout.splits


def _layout(built: Blocks, machine: Machine, experts: int, layers: int) -> Layout:
    total = len(built.layers)
    ends = [
        round((total - layers) * number / max(1, len(machine.devices))) for number in range(len(machine.devices) + 1)
    ]
    counts = [end - begin for begin, end in pairwise(ends)]
    layout = contiguous(machine.devices, counts, total)
    moved = {(layer, stem): HOST for layer in range(min(experts, total)) for stem in built.layers[layer].movable}
    return replace(layout, moved=moved)


def scaled(work: Iterable[Work], scale: float) -> Iterator[Work]:
    """The work with the bytes of its weights so many times as large."""
    for item in work:
        yield replace(
            item,
            weight_bytes=item.weight_bytes * scale,
            stored_bytes=item.stored_bytes * scale,
            routed_bytes=item.routed_bytes * scale,
        )


# ---- measured on an H100


@cache
def measured() -> tuple[Case, ...]:
    """What was measured by ourselves."""
    data = load("h100.toml")
    machine = machine_of(data["machine"]["hardware"])
    device = replace(machine.devices[0], bandwidth=data["machine"]["bandwidth"], free=data["machine"]["free"] << 20)
    machine = replace(machine, devices=(device,), cores=data["machine"]["cores"], source="probe")
    return tuple(case for row in data["rows"] for case in _measured(row, machine, data["source"]["sampling"]))


def _measured(row: Json, machine: Machine, sampling_s: float) -> Iterator[Case]:
    built = blocks(*row["model"].split())
    overrides = [Override(pattern, "CPU") for pattern in row.get("on_host", ())]
    layout = layout_of(built, machine.devices, [row.get("gpu_layers", len(built.layers))], overrides)
    settings = ContextSettings(row["ctx"], ubatch=row.get("ubatch", 512))
    sampling = 0.0 if row.get("llama_bench") else sampling_s * built.shape.vocabulary
    common = ("h100", "h100-sxm-80gb", row["model"])
    for depth, tps in row["decode"]:
        work = work_of(built, layout, settings, depth + _BENCH_TOKENS // 2)
        yield Case(*common, _BENCH_TOKENS, depth, tps, machine, work, layout.splits, sampling, name=row.get("name", ""))
    for tokens, tps in row["prefill"]:
        work = work_of(built, layout, settings, tokens // 2)
        prompt = Prefill(tokens, settings.ubatch, Offload(row.get("pinned", True)), row.get("distinct"))
        yield Case(*common, tokens, 0, tps, machine, work, layout.splits, prompt=prompt, name=row.get("name", ""))


# ---- recorded


@cache
def recorded(*files: Path) -> tuple[Case, ...]:
    """The rows of records (docs/records.md): those in tests/data/records, and these files. BadFile if one is none."""
    paths = (*sorted((DATA / "records").glob("*.json")), *files)
    return tuple(case for path in paths for case in _recorded(path))


def _recorded(path: Path) -> Iterator[Case]:
    found = record.read(path)
    for row in found["rows"]:
        there = record.placed_row(found, row)
        tells = not found.get("random_weights") or not there.blocks.shape.experts or there.layout.is_whole
        hardware = ", ".join(device.name for device in there.machine.devices) or there.machine.cpu_name
        common = (path.stem, hardware, row["model"])
        name = row.get("variant", "")
        for one in row["requests"]:
            tokens, answer = one["prompt"], one["answer"]
            (ahead, prompt), behind = there.prompt(tokens), there.work(tokens + answer // 2)
            machine, splits, sampling = there.machine, there.layout.splits, sampling_seconds(there.blocks)
            sampling *= found.get("slower_sampling", 1)
            far = visits(there.layout)
            if one["decode_tps"]:
                case = Case(*common, answer, tokens, one["decode_tps"], machine, behind, splits, sampling, name=name)
                yield replace(case, between=decode_seconds(there.blocks, far, tokens + answer // 2))
            if one["prefill_tps"] and tells:  # routers of random weights reach but few experts
                case = Case(*common, tokens, 0, one["prefill_tps"], machine, ahead, splits, prompt=prompt, name=name)
                yield replace(case, between=prefill_seconds(there.blocks, far, prompt.batch, tokens // 2))


# ---- 2024


@cache
def older() -> tuple[Case, ...]:
    """The tables of May 2024."""
    rows = [
        (table["source"], *row[:3], row[3:])
        for table in load("published_speeds.toml")["tables"]
        for row in table["rows"]
    ]
    return tuple(case for row in rows for case in _older(*row))


def _older(source: str, hardware: str, count: int, model: str, numbers: list[float]) -> Iterator[Case]:
    machine = machine_of(hardware, count=count)
    built = blocks(*model.split())
    layout = _layout(built, machine, 0, 0)
    settings = ContextSettings(_CTX)
    tests = [(tokens, None) for tokens in _DECODED_2024] + [(512, Prefill())]
    for (tokens, prompt), tps in zip(tests, numbers, strict=False):
        if tps:
            work = work_of(built, layout, settings, tokens // 2)
            yield Case(source, hardware, model, tokens, 0, tps, machine, work, layout.splits, prompt=prompt)


@cache
def checks() -> tuple[Case, ...]:
    """Single decode speeds, most of them served."""
    data = load("published_speeds.toml")
    by_hand = {name: ByHand(**fields) for name, fields in data["models"].items()}
    return tuple(
        _check(table["source"], hardware, cores, (model, by_hand.get(model)), tps)
        for table in data["checks"]
        for hardware, cores, model, tps in table["rows"]
    )


def _check(source: str, hardware: str, cores: int, model: tuple[str, ByHand | None], tps: float) -> Case:
    machine = machine_of(hardware)
    machine = replace(machine, cores=cores or machine.cores)
    work, splits = _work(model, {}, machine, ContextSettings(_CTX), _BENCH_TOKENS // 2)
    return Case(source, hardware, model[0], _BENCH_TOKENS, 0, tps, machine, work, splits)
