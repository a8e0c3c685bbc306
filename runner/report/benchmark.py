"""A benchmark in words and tables, next to what was predicted. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from runner.report.sentences import sentence
from runner.report.table import Table
from runner.report.words import network, rate_cell, rates, seconds
from runner.types.engine import Loaded
from runner.types.machine import Machine
from runner.types.measurement import Benchmark
from runner.types.plan import Candidate, Predicted
from runner.types.reasons import OnOthers


def benchmark_table(measured: Benchmark, predicted: Predicted | None) -> Table:
    """Tokens per second: median, range, prediction."""
    rows = (
        ("decode", measured.decode_tps, measured.decode_range, predicted.decode_tps if predicted else None),
        ("prefill", measured.prefill_tps, measured.prefill_range, predicted.prefill_tps if predicted else None),
    )
    cells = [(name, rate_cell(median), rates(bounds), rate_cell(expected)) for name, median, bounds, expected in rows]
    for name, draft in (("a text again", measured.draft), ("free prose", measured.companion)):
        if draft:
            taken = f"{draft.accepted} of {draft.drafted} guesses right"
            cells.append((name, rate_cell(draft.decode_tps), f"plain {rate_cell(draft.plain_decode_tps)}", taken))
    return Table(("tok/s", "median", "range", "predicted"), cells, right=(1, 2, 3))


def latency_line(measured: Benchmark, loaded: Loaded) -> str:
    """How long a first token and the load took."""
    prompt = f"first token {seconds(measured.ttft_s)} after a prompt of {measured.prompt_tokens}"
    return f"{prompt}; loaded in {seconds(loaded.load_s)}"


def network_lines(measured: Benchmark, candidate: Candidate, machine: Machine) -> Iterator[str]:
    """What of it is on other machines, what each token pays for that, the road there and what went over it."""
    roads = {device.id: device.lent.road for device in machine.devices if device.lent}
    for reason in candidate.reasons:
        if isinstance(reason, OnOthers):
            yield sentence(reason)
            traffic = dict(measured.traffic).get(reason.device)
            yield f"{reason.device} network: {network(roads.get(reason.device), traffic)}"
