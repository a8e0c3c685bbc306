"""A long conversation as a short one: what the model is asked for, and what it saves, in words. Pure."""

from __future__ import annotations

from runner.report.words import plural

REQUEST = (
    "Summarise our conversation so far for yourself: facts, decisions, names, numbers, open questions and what I asked "
    "you to do or not to do. Write only the summary."
)
ASKED = "What was said so far, in short?"
TOO_SHORT = "There is nothing to compact: two questions and answers at least."


def compact_question(before: int, forecast: int, most: int) -> str:
    """Tokens that the conversation takes, and will take at most with a summary of `most`."""
    return (
        f"The conversation takes {plural(before, 'token')}; with a summary of at most {most:,} in place of all but the "
        f"last question and answer it would take about {forecast:,}. The whole stays as a branch (/branch)."
    )


def nothing_saved(before: int, forecast: int) -> str:
    """Why there is nothing to choose."""
    return f"Compacting would save nothing: {plural(before, 'token')}, with a summary up to about {forecast:,}."


def compacted(before: int, after: int) -> str:
    """What came of it."""
    return f"Compacted from {before:,} to {plural(after, 'token')}. /branch has the whole."
