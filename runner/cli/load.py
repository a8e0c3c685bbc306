"""A model made ready for a command: the plan is told, a download is asked for, the load is shown, all on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from models.errors import Declined, EngineError
from runner.cli.options import Options
from runner.cli.output import Output
from runner.client.attach import find, question_of
from runner.client.attached import AttachedService
from runner.types.engine import LoadProgress

if TYPE_CHECKING:  # whoever finds a warm engine plans nothing and does not wait for these
    from runner.client.process import EngineProcess
    from runner.client.session import EngineSession
    from runner.service.service import LocalService
    from runner.types.plan import Candidate, Plan
    from runner.types.service import Answering

Session = TypeVar("Session")
Loading = TypeVar("Loading", bound="Answering")


def service_for(
    output: Output, engine: EngineProcess | None = None, cache_size: int | None = None
) -> closing[LocalService]:
    """A service that ends with the command, and its engine with it."""
    from runner.service.service import LocalService

    return closing(LocalService(output.note, engine, cache_size))


def ready(service: LocalService, options: Options, output: Output) -> tuple[Plan, int]:
    """The plan and the index of the candidate that it takes, with all its files here."""
    from runner.report.sentences import before_load

    assert options.model is not None
    plan = service.plan(options.model, options.wish)
    index = service.chosen(plan)
    candidate = plan.candidates[index]
    for sentence in before_load(plan, candidate):
        output.note(sentence)
    if candidate.download_bytes:
        download(service, options, output, plan, index)
    return plan, index


def warm_service(options: Options) -> AttachedService | None:
    """The engine that somebody keeps warm for this model and wish, if any."""
    assert options.model is not None
    session = find(question_of(options.model, options.wish), options.keep)
    return None if session is None else AttachedService(session)


def open_model(service: LocalService | AttachedService, options: Options, output: Output) -> Answering:
    """The model that is warm, or: plan, download what is missing, load; behind a socket where it shall be kept."""
    if isinstance(service, AttachedService):
        return service.session
    if (warm := warm_service(options)) is not None:
        return warm.session
    plan, index = ready(service, options, output)
    if not options.keep:
        return load(service, output, plan, index)
    return _shown(service.load_kept(plan, index, options.keep), plan.candidates[index], output)


def open_for_many(service: LocalService | AttachedService, options: Options, output: Output) -> Answering:
    """The same with as many requests at once as cost nothing, where nobody has said how many."""
    if options.keep or isinstance(service, AttachedService):  # what is kept is loaded for many anyway
        return open_model(service, options, output)
    from runner.service.parallel import for_many

    assert options.model is not None
    return open_model(service, replace(options, wish=for_many(service, options.model, options.wish)), output)


def load(service: LocalService, output: Output, plan: Plan, index: int) -> EngineSession:
    """Load a candidate whose files are here; what ran before ends."""
    return _shown(service.load(plan, index), plan.candidates[index], output)


def _shown(steps: Iterator[LoadProgress | Loading], candidate: Candidate, output: Output) -> Loading:
    """The session that is loaded; what befell it on the way is said."""
    session = shown(steps, candidate, output)
    for sentence in session.loaded.notes:
        output.warn(sentence)
    return session


def shown(steps: Iterator[LoadProgress | Session], candidate: Candidate, output: Output) -> Session:
    """What a load ends with, while its steps are shown."""
    from runner.report.download import loading_line

    for step in steps:
        if not isinstance(step, LoadProgress):
            output.clear_progress()
            return step
        output.progress(loading_line(candidate, step))
    raise EngineError("The engine loaded nothing.")


def download(service: LocalService, options: Options, output: Output, plan: Plan, index: int) -> None:
    """Bring what is missing of a candidate; a person is asked before a large one. Declined, DownloadError."""
    from runner.report.download import LARGE_DOWNLOAD, download_question, progress_line

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
