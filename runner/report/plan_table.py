"""A plan as a table of eighty columns. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from models.headers.describe import quality_word
from models.headers.quants import quality
from runner.report import sentences
from runner.report.guesses import could_guess
from runner.report.placement import machine_facts, model_facts, place_word
from runner.report.words import context, gib, rate_cell
from runner.types.plan import Candidate, MemoryRow, Plan, Verdict

WIDTH = 80
_BAR = 6
_WHERE = 24
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def plan_lines(plan: Plan) -> Iterator[str]:
    """Head, one line per candidate, then what it all means."""
    yield from _wrapped(_machine(plan))
    yield ""
    lacks = any(candidate.short_of_gpu for candidate in plan.candidates)
    lack = "GPU lacks" if lacks else ""
    yield f"  {'quant':<10} {'size':>9} {'where':<{_WHERE}}{lack:>9} {'context':>7} {'tok/s':>5} quality"
    for index, candidate in enumerate(plan.candidates):
        yield _line(candidate, index == plan.chosen)
    yield ""
    yield from _wrapped(sentences.why(plan))
    taken = sentences.reasons(plan.candidates[plan.chosen]) if plan.chosen is not None else ()
    hint = [could_guess(plan.hint)] if plan.hint else []
    for sentence in (*_why_not(plan), *taken, *hint):
        yield from _wrapped(sentence)


def _machine(plan: Plan) -> str:
    return f"{plan.model.name}: {', '.join(model_facts(plan.model))}. On {', '.join(machine_facts(plan.machine))}."


def _line(candidate: Candidate, chosen: bool) -> str:
    mark = ">" if chosen else " "
    size, lack = gib(candidate.file_bytes), gib(candidate.short_of_gpu) if candidate.short_of_gpu else ""
    word = quality_word(quality(candidate.quant, candidate.bits_per_weight).loss)
    ctx = context(candidate.placement.ctx) if candidate.placement and candidate.verdict is not Verdict.NO else ""
    speed = rate_cell(candidate.predicted.decode_tps) if candidate.predicted else ""
    where = _where(candidate)
    return f"{mark} {candidate.quant:<10} {size:>9} {where:<{_WHERE}}{lack:>9} {ctx:>7} {speed:>5} {word}".rstrip()


def _where(candidate: Candidate) -> str:
    """A bar per device: how full it gets; a single block each where there are many."""
    if candidate.verdict is Verdict.NO:
        return place_word(candidate)
    used = [row for row in candidate.memory if row.device != "CPU"]
    host = candidate.memory[-1]
    if not used:
        return f"CPU {_bar(host)}"
    width = 2 if len(used) > 1 else _BAR
    bars = " ".join(f"{row.device} {_bar(row, width)}" for row in used)
    if len(used) > 2 or len(bars) + len(" RAM ") + width > _WHERE:
        bars = f"{len(used)} GPUs {''.join(_EIGHTHS[round(8 * _share(row))] for row in used)}"
    return f"{bars} RAM {_bar(host, width)}"


def _share(row: MemoryRow) -> float:
    return min(1.0, max(0.0, row.total / row.free)) if row.free > 0 else 1.0


def _bar(row: MemoryRow, width: int = _BAR) -> str:
    full, part = divmod(round(8 * width * _share(row)), 8)
    return ("█" * full + (_EIGHTHS[part] if part else "")).ljust(width, "·")[:width]


def _why_not(plan: Plan) -> Iterator[str]:
    """The first reason of each candidate that does not run; one sentence stands for several alike."""
    refused = [candidate for candidate in plan.candidates if candidate.verdict is Verdict.NO and candidate.reasons]
    for candidate in refused if plan.chosen is not None else ():
        yield f"{candidate.quant}: {sentences.reasons(candidate)[0]}"


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
