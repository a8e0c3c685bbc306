"""Measured beside what was planned and predicted. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from runner.report.contract import paired
from runner.report.table import Table
from runner.report.turn import after_turn
from runner.report.words import gib_cell, plural, rate_cell, seconds
from runner.types.engine import ComponentBytes, Loaded
from runner.types.generation import Chunk
from runner.types.plan import Candidate, MemoryRow, Predicted
from runner.types.service import Session


def stats_lines(session: Session, last: Chunk | None) -> Iterator[str]:
    """The last turn, speeds, the load, and for every device what was planned beside what llama.cpp holds."""
    if last is not None:
        yield after_turn(last, session.loaded.ctx)
        yield f"prompt of {plural(last.prompt_tokens, 'token')}"
    yield from speed_table(session.candidate.predicted, last).lines()
    yield f"loaded in {seconds(session.loaded.load_s)}, {plural(session.placement.threads, 'thread')}"
    yield from memory_table(session.candidate, session.loaded).lines()


def speed_table(predicted: Predicted | None, last: Chunk | None) -> Table:
    """Decode and prefill in tokens per second; a prompt too short to be compared is left out."""
    promised = (predicted.decode_tps, predicted.prefill_tps) if predicted else (None, None)
    measured = (last.decode_tps, last.comparable_prefill_tps) if last else (None, None)
    names = ("decode", "prefill") if last is None or last.comparable_prefill_tps is not None else ("decode",)
    rows = zip(names, map(rate_cell, promised), map(rate_cell, measured), strict=False)
    return Table(("tok/s", "predicted", "measured"), list(rows), right=(1, 2))


def memory_table(candidate: Candidate, loaded: Loaded) -> Table:
    """Every device: weights, KV and compute, as planned → as llama.cpp holds them."""
    rows = [(device, *_both(planned, held)) for device, planned, held in paired(candidate.memory, loaded.memory)]
    return Table(("GiB, planned → held", "weights", "KV", "compute"), rows, right=(1, 2, 3))


def _both(planned: MemoryRow | None, held: ComponentBytes | None) -> Iterator[str]:
    for before, after in zip(_parts(planned), _parts(held), strict=True):
        yield f"{gib_cell(before)} → {gib_cell(after)}"


def _parts(row: MemoryRow | ComponentBytes | None) -> tuple[int | None, int | None, int | None]:
    return (row.weights, row.kv, row.compute) if row else (None, None, None)
