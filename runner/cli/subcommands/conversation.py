"""`localrun conversation`: what was said, written elsewhere, brought here, removed."""

from __future__ import annotations

import json
from pathlib import Path

from models.errors import Declined, ExitCode, UsageError
from runner.cli.earlier import store
from runner.cli.load import is_to_be_asked
from runner.cli.options import Options
from runner.cli.output import Output
from runner.report.conversation import conversation_json, imported_line, removal_question, where_json
from runner.report.document import to_markdown
from runner.storage.export import write_new
from runner.storage.imports import add, conversations_in
from runner.storage.lookup import lookup
from runner.types.conversation import Conversation


def run(options: Options, output: Output) -> ExitCode:
    """Export, import or remove; `list conversations` shows all."""
    match options.words:
        case ("export",):
            _print(lookup(store()).conversation, options, output)
        case ("export", name):
            _print(lookup(store(), name).conversation, options, output)
        case ("export", name, target):
            _write(lookup(store(), name).conversation, target, options, output)
        case ("import", _, *_):
            _bring(options.words[1:], options, output)
        case ("rm", name):
            _remove(name, options, output)
        case _:
            raise UsageError("There are localrun conversation export [NAME [FILE]], import FILE and rm NAME.")
    return ExitCode.OK


def _print(conversation: Conversation, options: Options, output: Output) -> None:
    if options.json:
        output.json(conversation_json(conversation))
    else:
        output.line(to_markdown(conversation).rstrip("\n"))


def _write(conversation: Conversation, target: str, options: Options, output: Output) -> None:
    """As JSON where the file is named so, else as Markdown."""
    is_json = target.lower().endswith(".json")
    text = json.dumps(conversation_json(conversation), ensure_ascii=False, indent=2) + "\n" if is_json else None
    path = write_new(conversation.title, text or to_markdown(conversation), target)
    if options.json:
        output.json(where_json(path, conversation))
    else:
        output.line(str(path))


def _bring(files: tuple[str, ...], options: Options, output: Output) -> None:
    """All files are read before the first conversation is kept."""
    found = [one for file in files for one in conversations_in(Path(file))]
    try:
        logs = [add(store(), one) for one in found]
    except OSError as error:
        raise UsageError(f"{error.filename or store().folder} cannot be written: {error.strerror}.") from None
    if options.json:
        output.json([where_json(log.path, log.conversation) for log in logs])
    else:
        output.lines(imported_line(log.conversation) for log in logs)


def _remove(name: str, options: Options, output: Output) -> None:
    log = lookup(store(), name)
    if is_to_be_asked(options, output) and not output.ask(removal_question(log.conversation)):
        raise Declined("Nothing was removed.")
    try:
        log.hold()  # what another goes on with is not removed
        log.path.unlink()
    except OSError as error:
        raise UsageError(f"{log.path} cannot be removed: {error.strerror}.") from None
    if options.json:
        output.json(where_json(log.path, log.conversation))
    else:
        output.line(str(log.path))
