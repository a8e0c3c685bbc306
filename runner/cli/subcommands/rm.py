"""`localrun rm`: remove weights that this program may remove."""

from __future__ import annotations

from models.errors import Declined, ExitCode, UsageError
from models.names.remove import removal, remove
from runner.cli.load import is_to_be_asked
from runner.cli.options import Options
from runner.cli.output import Output
from runner.report.weights import freed_line, removal_question
from runner.storage.paths import paths
from runner.storage.sent_weights import SentWeights
from runner.storage.states import States


def run(options: Options, output: Output) -> ExitCode:
    """Ask, remove, say how much that frees."""
    if options.cache:
        return _clear_cache(options, output)
    if options.model is None:
        raise UsageError("Which model? localrun list shows what is here.")
    doomed = removal(options.model, options.wish.quant)
    files = (*doomed.paths, *doomed.leftovers)
    if is_to_be_asked(options, output) and not output.ask(removal_question(files, doomed.bytes)):
        raise Declined("Nothing was removed.")
    freed = remove(doomed)
    if options.json:
        output.json({"freed_bytes": freed, "files": [str(path) for path in files]})
    else:
        output.line(freed_line(freed))
    return ExitCode.OK


def _clear_cache(options: Options, output: Output) -> ExitCode:
    """What was read of conversations is read again, and weights are sent again: nobody needs to be asked."""
    if options.model is not None:
        raise UsageError("--cache is of all models: localrun rm --cache")
    freed = States(paths().states).clear() + SentWeights(paths().sent_weights).clear()
    if options.json:
        output.json({"freed_bytes": freed, "files": []})
    else:
        output.line(freed_line(freed))
    return ExitCode.OK
