"""Planned against measured, as lines of a table. Pure."""

from collections.abc import Sequence

from textual.content import Content

from runner.report import sentences
from runner.types.engine import Loaded
from runner.types.generation import Chunk
from runner.types.plan import Candidate, Plan
from tui.view.text import gib, one_line, rate, seconds, visible

_PARTS = ("weights", "kv", "compute")


def memory_table(candidate: Candidate, loaded: Loaded) -> list[str]:
    """Every device: GiB of weights, KV and compute, as planned → as loaded."""
    heads = ("weights", "KV", "compute")
    lines = [f"{'GiB':<8}" + "".join(f"{head:>16}" for head in heads)]
    planned = {row.device: row for row in candidate.memory}
    for held in loaded.memory:
        row = planned.get(held.device)
        cells = [f"{gib(getattr(row, part) if row else None)} → {gib(getattr(held, part))}" for part in _PARTS]
        lines.append(f"{held.device:<8}" + "".join(f"{cell:>16}" for cell in cells))
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


def welcome(plan: Plan, candidate: Candidate, loaded: Loaded) -> Content:
    """What a chat shows before its first question."""
    predicted = candidate.predicted
    promise = f"It should write about {rate(predicted.decode_tps)} tokens a second." if predicted else ""
    lines = [
        Content.assemble(
            (f"{one_line(plan.model.name)} {one_line(candidate.quant)}", "bold"),
            f" is ready after {seconds(loaded.load_s)}.",
        ),
        Content(" ".join(visible(part) for part in (sentences.why(plan), promise) if part)),
        Content(""),
        *(Content.styled(line, "$quiet") for line in memory_table(candidate, loaded)),
        Content(""),
        Content.styled("F1 helps · / lists the commands · Esc stops an answer", "$quiet"),
    ]
    return Content("\n").join(lines)
