"""Measured beside what was planned and predicted. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from runner.report.contract import paired
from runner.report.slowness import slow_line
from runner.report.table import Table
from runner.report.turn import after_turn
from runner.report.words import NOT_KNOWN, gib_cell, plural, rate_cell, rates, seconds
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
    if session.slowness is not None:
        yield slow_line(session.slowness)
    yield f"loaded in {seconds(session.loaded.load_s)}, {plural(session.placement.threads, 'thread')}"
    yield from memory_table(session.candidate, session.loaded).lines()


def speed_table(predicted: Predicted | None, last: Chunk | None) -> Table:
    """Decode and prefill in tokens per second; a prompt too short to be compared is left out.

    No prediction but that of guesses has any: beside it stands what decode was without, and with them a row of its own.
    """
    return Table(("tok/s", "predicted", "measured"), list(_speeds(predicted, last)), right=(1, 2))


def _speeds(predicted: Predicted | None, last: Chunk | None) -> Iterator[tuple[str, str, str]]:
    decode, prefill = _promised(predicted) if predicted else (NOT_KNOWN, NOT_KNOWN)
    yield "decode", decode, rate_cell(last.plain_decode_tps if last else None)
    if last and last.draft:
        guesses = predicted.guesses if predicted else None
        expected = predicted.decode_tps * guesses.gain if predicted and guesses else None
        yield "with guesses", rate_cell(expected), rate_cell(last.decode_tps)
    if last is None or last.comparable_prefill_tps is not None:
        yield "prefill", prefill, rate_cell(last.comparable_prefill_tps if last else None)


def _promised(predicted: Predicted) -> tuple[str, str]:
    """Decode and prefill, each with its range: `17.3 (15.9 to 18.2)`."""
    decode, prefill = rate_cell(predicted.decode_tps), rate_cell(predicted.prefill_tps)
    if predicted.range is None:
        return decode, prefill
    return f"{decode} ({rates(predicted.range.decode)})", f"{prefill} ({rates(predicted.range.prefill)})"


def memory_table(candidate: Candidate, loaded: Loaded) -> Table:
    """Every device: weights, KV and compute, as planned → as llama.cpp holds them."""
    rows = [(device, *_both(planned, held)) for device, planned, held in paired(candidate.memory, loaded.held)]
    return Table(("GiB, planned → held", "weights", "KV", "compute"), rows, right=(1, 2, 3))


def _both(planned: MemoryRow | None, held: ComponentBytes | None) -> Iterator[str]:
    for before, after in zip(_parts(planned), _parts(held), strict=True):
        yield f"{gib_cell(before)} → {gib_cell(after)}"


def _parts(row: MemoryRow | ComponentBytes | None) -> tuple[int | None, int | None, int | None]:
    return (row.weights, row.kv, row.compute) if row else (None, None, None)
