"""Plans, turns and downloads in the sentences that every front end prints. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from models.weights import Progress
from runner.report import sentences
from runner.report.contract import planned_and_measured
from runner.report.words import file_size as gb
from runner.report.words import gib
from runner.types.engine import Loaded, LoadProgress
from runner.types.generation import Chunk, Finish, Phase
from runner.types.placement import Placement
from runner.types.plan import Candidate, Plan, Terms

LARGE_DOWNLOAD = 1_000_000_000  # bytes from which on a person is asked first
_ENDS = {
    Finish.STOP: "the model ended",
    Finish.LENGTH: "cut at its length",
    Finish.INTERRUPTED: "interrupted",
    Finish.ERROR: "the engine failed",
}


class Running(Protocol):
    """What a loaded model tells about itself (runner.client.session.Session)."""

    @property
    def candidate(self) -> Candidate:
        """What was planned."""

    @property
    def placement(self) -> Placement:
        """What llama.cpp was told."""

    @property
    def loaded(self) -> Loaded:
        """What it answered."""


def before_load(plan: Plan, candidate: Candidate) -> Iterator[str]:
    """The plan of a run: where the model goes, how fast it should be, why."""
    yield from plan.machine.notes
    yield f"{plan.model.name} {candidate.quant}: {sentences.where(candidate)}{_expected(candidate)}."
    yield from (reason for reason in sentences.reasons(candidate) if reason not in plan.machine.notes)


def _expected(candidate: Candidate) -> str:
    if candidate.predicted is None:
        return ""
    return f", about {candidate.predicted.decode_tps:.{0 if candidate.predicted.decode_tps >= 10 else 1}f} tok/s"


def download_question(plan: Plan, candidate: Candidate, terms: Terms) -> str:
    """What a download brings, takes and costs; of one that was interrupted, what is left."""
    size, left = candidate.file_bytes, candidate.download_bytes
    bytes_ = gb(left) if left == size else f"{gb(left)} of {gb(size)} are left"
    took = f", about {duration(terms.seconds)}" if terms.seconds and terms.seconds >= 1 else ""
    licence = f", licence {terms.licence}" if terms.licence else ""
    return f"Downloading {plan.model.name} {candidate.quant}: {bytes_}{took}, to {terms.place}{licence}."


def progress_line(progress: Progress) -> str:
    """One file under way."""
    share = progress.done / progress.total if progress.total else 1.0
    line = f"{progress.file}  {gb(progress.done)} of {gb(progress.total)}  {share:.0%}"
    if progress.rate and progress.done < progress.total:
        left = duration((progress.total - progress.done) / progress.rate)
        line += f"  {progress.rate / 1e6:.1f} MB/s  {left} left"
    return line


def loading_line(step: LoadProgress) -> str:
    """A load under way."""
    return f"Loading {step.fraction:.0%}"


def prefill_line(chunk: Chunk) -> str:
    """A prompt being read; empty at its ends and outside."""
    total = chunk.prompt_tokens - chunk.cached_tokens
    is_under_way = chunk.phase is Phase.PREFILL and 0 < chunk.prefilled < total
    return f"Reading the prompt: {chunk.prefilled} of {total} tokens" if is_under_way else ""


def duration(seconds: float) -> str:
    """`45 s`, `7 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def after_turn(last: Chunk) -> str:
    """The numbers of a turn in one line."""
    parts = [f"{last.completion_tokens} tokens"]
    if last.decode_tps:
        parts.append(f"{last.decode_tps:.1f} tok/s")
    if last.ttft_s is not None:
        parts.append(f"first after {last.ttft_s:.2f} s")
    parts.append(f"{last.prompt_tokens} in the prompt, {last.cached_tokens} of them kept")
    if last.finish:
        parts.append(_ENDS[last.finish])
    return ", ".join(parts)


def stats_lines(session: Running, last: Chunk) -> Iterator[str]:
    """`--stats`: the turn, and for every device what was planned beside what llama.cpp holds."""
    yield after_turn(last)
    predicted = session.candidate.predicted
    if predicted and last.decode_tps:
        yield f"decode {last.decode_tps:.1f} tok/s, predicted {predicted.decode_tps:.1f}"
    if predicted and last.prefill_tps:
        yield f"prefill {last.prefill_tps:.0f} tok/s, predicted {predicted.prefill_tps:.0f}"
    count = session.placement.threads
    yield f"loaded in {session.loaded.load_s:.2f} s, {count} {'thread' if count == 1 else 'threads'}"
    for row in planned_and_measured(session.candidate.memory, session.loaded.memory):
        yield f"{row['device']}: {_compared(row['planned'], row['measured'])}"


def _compared(planned: dict[str, int] | None, measured: dict[str, int] | None) -> str:
    parts = []
    for name in ("weights", "kv", "compute"):
        left = gib(planned[name]) if planned else "n/a"
        right = gib(measured[name]) if measured else "n/a"
        parts.append(f"{name} {right} (planned {left})" if left != right else f"{name} {right} as planned")
    return ", ".join(parts)
