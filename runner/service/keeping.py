"""A model that another process of ours keeps warm: found, or loaded there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from runner.client.attach import keep, made, question_of
from runner.client.attached import AttachedSession
from runner.client.runtime import is_fallback
from runner.report.warm import in_fallback
from runner.service.studies import study_of
from runner.types.engine import LoadProgress
from runner.types.plan import Plan


def load_there(
    plan: Plan, index: int, keep_s: float, log: Path, note: Callable[[str], None]
) -> Iterator[LoadProgress | AttachedSession]:
    """Let the server that keeps engines load a candidate, for `keep_s` seconds; the last item is the session.

    It plans by itself, so that whoever asks the same finds it. Unkept, with a sentence, where nothing can be kept.
    """
    wish = plan.wish if index == plan.chosen else replace(plan.wish, quant=plan.candidates[index].quant)
    if is_fallback(folder := made()):
        note(in_fallback(str(folder)))
    session = yield from keep(question_of(study_of(plan).name, wish), keep_s, log)
    yield session
