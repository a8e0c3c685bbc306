"""A plan as a table of eighty columns. Pure."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator

from models.headers.describe import quality_word
from models.headers.quants import quality
from runner.report import sentences
from runner.report.sentences import tokens
from runner.types.plan import Candidate, MemoryRow, Plan, Verdict
from runner.types.units import gib

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
    for sentence in (*_why_not(plan), *_reasons(plan)):
        yield from _wrapped(sentence)


def _machine(plan: Plan) -> str:
    model, machine = plan.model, plan.machine
    size = f"{parameters(model.parameters)} parameters, {model.layers} layers"
    experts = f", {model.experts_used} of {model.experts} experts a token" if model.experts else ""
    trained = f", trained to {tokens(model.context_trained)}"
    alike = Counter((device.name, gib(device.free)) for device in machine.devices)
    devices = [f"{_times(count)}{name} ({free} free{' each' * (count > 1)})" for (name, free), count in alike.items()]
    host = f"{gib(machine.ram_available)} of RAM"
    return f"{model.name}: {size}{experts}{trained}. On {', '.join([*devices, host])}."


def parameters(count: int) -> str:
    """`70.6B`, `135M`."""
    return f"{count / 1e9:.3g}B" if count >= 1e9 else f"{count / 1e6:.3g}M"


def _times(count: int) -> str:
    return f"{count} x " if count > 1 else ""


def _line(candidate: Candidate, chosen: bool) -> str:
    mark = ">" if chosen else " "
    size, lack = gib(candidate.file_bytes), gib(candidate.short_of_gpu) if candidate.short_of_gpu else ""
    word = quality_word(quality(candidate.quant, candidate.bits_per_weight).loss)
    ctx = tokens(candidate.placement.ctx) if candidate.placement and candidate.verdict is not Verdict.NO else ""
    speed, where = _speed(candidate), _where(candidate)
    return f"{mark} {candidate.quant:<10} {size:>9} {where:<{_WHERE}}{lack:>9} {ctx:>7} {speed:>5} {word}".rstrip()


def _speed(candidate: Candidate) -> str:
    if candidate.predicted is None:
        return ""
    tps = candidate.predicted.decode_tps
    return f"{tps:.1f}" if tps < 100 else f"{tps:.0f}"


def _where(candidate: Candidate) -> str:
    """A bar per device: how full it gets; a single block each where there are many."""
    if candidate.verdict is Verdict.NO:
        return "does not fit"
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


def _reasons(plan: Plan) -> tuple[str, ...]:
    return sentences.reasons(plan.candidates[plan.chosen]) if plan.chosen is not None else ()


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
