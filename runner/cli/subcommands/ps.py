"""`localrun ps`: the models that are loaded and kept, of every server of this user's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from models.errors import ExitCode, LocalrunError
from runner.cli.options import Options
from runner.cli.output import Output
from runner.client.runtime import sockets
from runner.client.socket import Gone, told
from runner.report.warm import NONE_WARM, warm_json, warm_table
from runner.types.pipe import Command
from runner.types.warm import Residents

Said = TypeVar("Said")


def run(options: Options, output: Output) -> ExitCode:
    """A row for each."""
    models = [model for rows in said_by_all(Residents(), output) for model in rows]
    if options.json:
        output.json([warm_json(one) for one in models])
    elif models:
        output.table(warm_table(models))
    else:
        output.note(NONE_WARM)
    return ExitCode.OK


def said_by_all(command: Command[Said], output: Output) -> Iterator[Said]:
    """What each server replies; why one does not is said, but for a socket without a server."""
    for path in sockets():
        try:
            yield told(path, command)
        except Gone:
            continue
        except (LocalrunError, ValueError, TypeError) as error:
            output.warn(f"{path}: {error}")
