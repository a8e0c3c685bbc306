"""Planned against measured, as lines of a table. Pure."""

from collections.abc import Sequence

from runner.events import Chunk, Loaded
from runner.plan import Candidate
from tui.text import gib, rate, seconds

_PARTS = ("weights", "kv", "compute")


def memory_table(candidate: Candidate, loaded: Loaded) -> list[str]:
    """Every device: planned and measured GiB of weights, KV and compute."""
    lines = [f"{'GiB':<10}" + "".join(f"{name:>20}" for name in ("weights", "KV", "compute"))]
    lines.append(f"{'':<10}" + f"{'planned   loaded':>20}" * 3)
    planned = {row.device: row for row in candidate.memory}
    for held in loaded.memory:
        row = planned.get(held.device)
        cells = [f"{gib(getattr(row, part) if row else None):>11}{gib(getattr(held, part)):>9}" for part in _PARTS]
        lines.append(f"{held.device:<10}" + "".join(cells))
    return lines


def speed_table(candidate: Candidate, last: Chunk | None) -> list[str]:
    """Decode and prefill: predicted and measured in the last turn."""
    predicted = candidate.predicted
    rows: Sequence[tuple[str, float | None, float | None]] = (
        ("decode", predicted.decode_tps if predicted else None, last.decode_tps if last else None),
        ("prefill", predicted.prefill_tps if predicted else None, last.prefill_tps if last else None),
    )
    lines = [f"{'tok/s':<10}{'predicted':>11}{'last turn':>11}"]
    lines += [f"{name:<10}{rate(promise):>11}{rate(measured):>11}" for name, promise, measured in rows]
    return [*lines, f"{'first token':<21}{seconds(last.ttft_s if last else None):>11}"]
