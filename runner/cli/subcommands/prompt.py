"""`localrun prompt`: prompts that are kept under a name, for -P."""

from __future__ import annotations

import sys

from models.errors import ExitCode, UsageError
from runner.cli.options import Options
from runner.cli.output import Output
from runner.storage.paths import paths
from runner.storage.prompts import PromptStore


def run(options: Options, output: Output) -> ExitCode:
    """Add, show or remove one; `list prompts` shows all."""
    store = PromptStore(paths().prompts)
    match options.words:
        case ("add", name, *words):
            store.path(name)  # a name that cannot be is said before anybody types
            path = store.add(name, " ".join(words) or _typed(output))
            _tell(name, str(path), options, output)
        case ("show", name):
            text = store.text(name)
            if options.json:
                output.json({"name": name, "text": text, "file": str(store.path(name))})
            else:
                output.line(text.rstrip("\n"))
        case ("rm", name):
            _tell(name, str(store.remove(name)), options, output)
        case _:
            raise UsageError("There are localrun prompt add NAME [TEXT], prompt show NAME and prompt rm NAME.")
    return ExitCode.OK


def _tell(name: str, path: str, options: Options, output: Output) -> None:
    if options.json:
        output.json({"name": name, "file": path})
    else:
        output.line(path)


def _typed(output: Output) -> str:
    """What stands on stdin."""
    if sys.stdin.isatty():
        output.note("Type the prompt; {} in it is for what comes on stdin later. Ctrl-D ends it.")
    return sys.stdin.read().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
