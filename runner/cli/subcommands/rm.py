"""`localrun rm`: remove weights that this program may remove."""

from __future__ import annotations

from models.errors import Declined, ExitCode
from models.names.remove import removal, remove
from runner.cli.load import is_to_be_asked
from runner.cli.options import Options
from runner.cli.output import Output
from runner.report.weights import freed_line, removal_question


def run(options: Options, output: Output) -> ExitCode:
    """Ask, remove, say how much that frees."""
    assert options.model is not None
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
