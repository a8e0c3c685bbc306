"""Fit the speed model to published decode speeds and print how far it is from them.

python -m scripts.checks.fit_speed          # the error table of the constants in runner/cost/speed.py
python -m scripts.checks.fit_speed --fit    # and what a fit of those constants would give now
"""

import argparse
import statistics
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from runner.cost import speed
from runner.hardware.described import parse_hardware
from runner.types.machine import Device, Machine

DATA = Path(__file__).parents[2] / "tests" / "data" / "published_speeds.toml"
DECODED = (512, 1024, 4096, 8192)
PROMPT = 512


@dataclass(frozen=True, slots=True)
class Model:
    """What decode reads: bytes and weights without the token embedding, KV bytes per token of context."""

    bytes: float
    weights: float
    layers: int
    kv: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One published number; `depth` is the mean depth of a decode, None for a prefill of 512 tokens."""

    hardware: str
    devices: int
    model: str
    depth: int | None
    tps: float


@dataclass(frozen=True, slots=True)
class Published:
    """The data file: models, the numbers fitted, and later ones only held against the fit."""

    models: dict[str, Model]
    fitted: tuple[Measured, ...]
    prefill: tuple[Measured, ...]
    checks: tuple[tuple[Measured, int], ...]


@cache
def published() -> Published:
    data = tomllib.loads(DATA.read_text(encoding="utf-8"))
    models = {name: Model(**values) for name, values in data["models"].items()}
    fitted, prefill = [], []
    for table in data["tables"]:
        for hardware, devices, model, *numbers in table["rows"]:
            for length, tps in zip(DECODED, numbers, strict=False):
                if tps:
                    fitted.append(Measured(hardware, devices, model, length // 2, tps))
            if len(numbers) > len(DECODED):
                prefill.append(Measured(hardware, devices, model, None, numbers[len(DECODED)]))
    checks = [
        (Measured(hardware, 1, model, 64, tps), cores)
        for table in data["checks"]
        for hardware, cores, model, tps in table["rows"]
    ]
    return Published(models, tuple(fitted), tuple(prefill), tuple(checks))


@cache
def machine_of(hardware: str, devices: int) -> Machine:
    machine = parse_hardware(hardware)
    return replace(machine, devices=machine.devices * devices)


def work_of(model: Model, machine: Machine, depth: int) -> list[speed.Work]:
    """The model's layers dealt out evenly to the machine's devices, or all of them to its CPU."""
    share = 1 / max(1, len(machine.devices))
    return [
        speed.Work(
            device,
            model.bytes * share,
            model.weights * share,
            model.kv * depth * share,
            model.bytes * share,
            model.layers * share,
        )
        for device in machine.devices or (None,)
    ]


def predict(row: Measured, cores: int = 0) -> float:
    """Tokens per second by the speed model; `cores` 0: as many as named hardware is given."""
    machine = machine_of(row.hardware, row.devices)
    machine = replace(machine, cores=cores or machine.cores)
    model = published().models[row.model]
    if row.depth is None:
        return speed.prefill_tps(work_of(model, machine, PROMPT // 2), machine, PROMPT)
    return speed.decode_tps(work_of(model, machine, row.depth), machine)


def errors(rows: Iterable[Measured]) -> list[float]:
    """Relative errors, predicted over measured less one."""
    return [predict(row) / row.tps - 1 for row in rows]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed."""
    return sorted(values)[max(0, round(share * len(values)) - 1)]


def summary(values: Sequence[float]) -> str:
    sizes = [abs(value) for value in values]
    return (
        f"{len(sizes):4d} numbers   median {statistics.median(sizes):5.1%}   nine in ten within "
        f"{percentile(sizes, 0.9):5.1%}   worst {max(sizes):5.1%}   bias {statistics.median(values):+5.1%}"
    )


def fit(memory: speed.MemoryKind) -> tuple[float, float]:
    """Slowdown and seconds per layer of one kind of memory with the least absolute relative errors.

    Iteratively reweighted least squares of  slowdown x reading + per layer x layers = seconds - the rest.
    """
    rows = [row for row in published().fitted if speed.memory_of(_device(row)) is memory]
    points = []
    for row in rows:
        model, device = published().models[row.model], _device(row)
        reading = (model.bytes + speed.KV_WEIGHT * model.kv * (row.depth or 0)) / (device.bandwidth or 1)
        rest = speed.SECONDS_PER_GPU * (row.devices - 1)
        points.append((reading * row.tps, model.layers * row.tps, 1 - rest * row.tps))
    weights = [1.0] * len(points)
    slowdown = layer = 0.0
    for _ in range(100):
        slowdown, layer = _solve(points, weights)
        weights = [1 / max(abs(slowdown * a + layer * b - c), 0.01) for a, b, c in points]
    return slowdown, layer


def _device(row: Measured) -> Device:
    return machine_of(row.hardware, row.devices).devices[0]


def _solve(points: Sequence[tuple[float, float, float]], weights: Sequence[float]) -> tuple[float, float]:
    """x and y with the least sum of weight x (x a + y b - c) squared."""
    aa = ab = bb = ac = bc = 0.0
    for (a, b, c), weight in zip(points, weights, strict=True):
        aa, ab, bb = aa + weight * a * a, ab + weight * a * b, bb + weight * b * b
        ac, bc = ac + weight * a * c, bc + weight * b * c
    determinant = aa * bb - ab * ab
    return (ac * bb - bc * ab) / determinant, (aa * bc - ab * ac) / determinant


def print_table() -> None:
    data = published()
    groups: dict[str, list[Measured]] = defaultdict(list)
    for row in data.fitted:
        groups[f"{row.devices} x {row.hardware}"].append(row)
        groups[f"all {row.model}"].append(row)
        groups["all with several GPUs" if row.devices > 1 else "all with one GPU"].append(row)
    for name in sorted(groups, key=lambda name: (name.startswith("all"), name)):
        print(f"{name:34} {summary(errors(groups[name]))}")
    print(f"\n{'decode':34} {summary(errors(data.fitted))}")
    print(f"{'prefill of 512 tokens':34} {summary(errors(data.prefill))}\n\nLater builds, not fitted:")
    for row, cores in data.checks:
        guess = predict(row, cores)
        print(f"{row.hardware:28} {row.model:22} {row.tps:7.2f} predicted {guess:7.2f} {guess / row.tps - 1:+6.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="fit the constants anew and print them")
    if parser.parse_args().fit:
        for name, memory in (("GDDR", speed.GDDR), ("HBM", speed.HBM), ("UNIFIED", speed.UNIFIED)):
            slowdown, layer = fit(memory)
            print(
                f"{name:8} slowdown {slowdown:.3f} (in use {memory.slowdown}), "
                f"layer {layer * 1e6:.0f} us (in use {memory.layer * 1e6:.0f})"
            )
        print()
    print_table()


if __name__ == "__main__":
    main()
