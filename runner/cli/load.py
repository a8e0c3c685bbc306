"""A model made ready for a command: the plan is told, a download is asked for, the load is shown, all on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from typing import TypeVar

from models.errors import Declined, EngineError
from runner.cli.options import Options
from runner.cli.output import Output
from runner.client.process import EngineProcess
from runner.client.session import EngineSession
from runner.report.download import LARGE_DOWNLOAD, download_question, loading_line, progress_line
from runner.report.sentences import before_load
from runner.service.service import LocalService
from runner.types.engine import LoadProgress
from runner.types.plan import Candidate, Plan

Session = TypeVar("Session")


def service_for(
    output: Output, engine: EngineProcess | None = None, cache_size: int | None = None
) -> closing[LocalService]:
    """A service that ends with the command, and its engine with it."""
    return closing(LocalService(output.note, engine, cache_size))


def ready(service: LocalService, options: Options, output: Output) -> tuple[Plan, int]:
    """The plan and the index of the candidate that it takes, with all its files here."""
    assert options.model is not None
    plan = service.plan(options.model, options.wish)
    index = service.chosen(plan)
    candidate = plan.candidates[index]
    for sentence in before_load(plan, candidate):
        output.note(sentence)
    if candidate.download_bytes:
        download(service, options, output, plan, index)
    return plan, index


def open_model(service: LocalService, options: Options, output: Output) -> EngineSession:
    """Plan, download what is missing, load."""
    return load(service, output, *ready(service, options, output))


def load(service: LocalService, output: Output, plan: Plan, index: int) -> EngineSession:
    """Load a candidate whose files are here; what ran before ends."""
    session = shown(service.load(plan, index), plan.candidates[index], output)
    for sentence in session.loaded.notes:
        output.warn(sentence)
    return session


def shown(steps: Iterator[LoadProgress | Session], candidate: Candidate, output: Output) -> Session:
    """What a load ends with, while its steps are shown."""
    for step in steps:
        if not isinstance(step, LoadProgress):
            output.clear_progress()
            return step
        output.progress(loading_line(candidate, step))
    raise EngineError("The engine loaded nothing.")


def download(service: LocalService, options: Options, output: Output, plan: Plan, index: int) -> None:
    """Bring what is missing of a candidate; a person is asked before a large one. Declined, DownloadError."""
    candidate = plan.candidates[index]
    question = download_question(plan, candidate, service.terms(plan, index))
    if candidate.download_bytes >= LARGE_DOWNLOAD and is_to_be_asked(options, output):
        if not output.ask(f"{question} Go on?"):
            raise Declined("Nothing was downloaded.")
    else:
        output.note(question)
    for progress in service.fetch(plan, index):
        output.progress(progress_line(progress), final=progress.done >= progress.total)


def is_to_be_asked(options: Options, output: Output) -> bool:
    """Whether somebody sits there who has not said yes to everything."""
    return output.err_is_terminal and sys.stdin.isatty() and not options.yes
