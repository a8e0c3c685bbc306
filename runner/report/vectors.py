"""Vectors and scores as JSON, and the sentences about them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.errors import PromptTooLong, UsageError
from models.headers.prefixes import Prefixes, TextRole
from runner.report.words import percent, plural, rate, seconds
from runner.types.vectors import Purpose, Row

Json = dict[str, Any]
_DIGITS = 9  # a float32 is the same again


def row_json(row: Row, use: Purpose) -> Json:
    """One line: `embedding`, or `score` with the text that it is of; null where there is an `error`."""
    values = [float(f"{value:.{_DIGITS}g}") for value in row.made.values] if row.made else []
    made: Json = {"embedding": values or None}
    if use is Purpose.RANK:
        made = {"score": values[0] if values else None, "text": row.line.text}
    return {
        "id": row.line.id,
        "line": row.line.number,
        **made,
        "tokens": row.made.tokens if row.made else 0,
        "truncated": bool(row.made and values and row.made.is_cut),
        "error": _error_json(row),
    }


def _error_json(row: Row) -> Json | None:
    if row.failure is None:
        return None
    kind = UsageError if row.line.wrong else PromptTooLong
    return {"kind": kind.__name__, "message": row.failure}


@dataclass(frozen=True, slots=True)
class Tally:
    """How far it is: texts and tokens done in `seconds`, and the `share` of the input, None where nobody knows."""

    texts: int = 0
    tokens: int = 0
    seconds: float = 0.0
    share: float | None = None

    @property
    def tps(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds if self.seconds else 0.0


def all_json(rows: Sequence[Json], use: Purpose, done: Tally, load_s: float) -> Json:
    """`--json`: everything as one object, beside what runs."""
    timings = {"load_s": round(load_s, 3), "seconds": round(done.seconds, 3), "tps": round(done.tps, 1)}
    return {
        "scores" if use is Purpose.RANK else "embeddings": list(rows),
        "usage": {"texts": done.texts, "tokens": done.tokens},
        "timings": timings,
    }


# ---- sentences


def progress_line(done: Tally) -> str:
    """`1,200 texts · 34% · 4100 tok/s · 12 s left`."""
    facts = [plural(done.texts, "text"), rate(done.tps)]
    if done.share:
        facts[1:1] = [percent(done.share)]
        facts.append(f"{seconds(done.seconds * (1 - done.share) / done.share)} left")
    return " · ".join(facts)


def end_line(done: Tally) -> str:
    """`1,200 texts, 34,000 tokens in 8.3 s (4100 tok/s)`."""
    return f"{plural(done.texts, 'text')}, {plural(done.tokens, 'token')} in {seconds(done.seconds)} ({rate(done.tps)})"


def prefix_note(found: Prefixes | None, role: TextRole | None) -> str | None:
    """What stands in front of the texts, where one would not expect it."""
    if role is None:
        if found is None or not (found.query or found.document):
            return None
        return (
            "This model tells queries from documents by words in front of them: --as query and --as document put them "
            f"there ({found.page})."
        )
    if found is None:
        return f"What this model wants in front of a {role} is not known: the texts are taken as they are."
    words = found.of(role)
    return f"In front of each text: {words!r} ({found.page})." if words else None


def line_note(row: Row) -> str:
    """Why a line has no numbers."""
    return f"Line {row.line.number}: {row.failure}"


def refused(failed: Sequence[Row], texts: int) -> str:
    """The end of a run in which some have no numbers."""
    sentence = f"{len(failed)} of {plural(texts, 'text')} were refused."
    if all(row.line.wrong for row in failed):
        return sentence
    return (
        f"{sentence} --truncate reads the start of one that is too long; --ctx N takes longer ones, as far as the "
        "model was trained on such."
    )
