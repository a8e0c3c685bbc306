"""A benchmark in words and tables, next to what was predicted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runner.report.contract import Json
from runner.report.table import Table
from runner.report.words import gib
from runner.types.engine import Loaded
from runner.types.measurement import Benchmark
from runner.types.plan import Predicted

_UNKNOWN = "n/a"


def speed_table(measured: Benchmark, predicted: Predicted | None) -> Table:
    """Tokens per second: median, range, prediction."""
    rows = (
        ("decode", measured.decode_tps, measured.decode_range, predicted and predicted.decode_tps),
        ("prefill", measured.prefill_tps, measured.prefill_range, predicted and predicted.prefill_tps),
    )
    cells = [
        (name, f"{median:.1f}", f"{low:.1f} to {high:.1f}", f"{expected:.1f}" if expected else _UNKNOWN)
        for name, median, (low, high), expected in rows
    ]
    return Table(("tok/s", "median", "range", "predicted"), cells, right=(1, 2, 3))


def latency_line(measured: Benchmark, loaded: Loaded) -> str:
    """How long a first token and the load took."""
    return f"first token after {measured.ttft_s:.3f} s of a prompt of 512; loaded in {loaded.load_s:.2f} s"


def memory_table(devices: Iterable[Json]) -> Table:
    """`contract.planned_and_measured`, a row per device and component."""
    return Table(("device", "", "planned", "measured"), list(_memory_rows(devices)), right=(2, 3))


def _memory_rows(devices: Iterable[Json]) -> Iterator[tuple[str, ...]]:
    for device in devices:
        label = device["device"]
        for name in ("weights", "kv", "compute"):
            sides = (device["planned"], device["measured"])
            yield label, name, *(gib(side[name]) if side else _UNKNOWN for side in sides)
            label = ""
