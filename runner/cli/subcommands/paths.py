"""`localrun paths`: where everything is."""

from __future__ import annotations

from models.errors import ExitCode
from models.stores.cache import weights_folder
from runner.cli.options import Options
from runner.cli.output import Output
from runner.report.table import Table
from runner.storage.paths import paths


def run(options: Options, output: Output) -> ExitCode:
    """Print a path per kind of thing that is kept."""
    found = paths()
    places = {
        "configuration": found.config_file,
        "prompts": found.prompts,
        "conversations": found.conversations,
        "history": found.history,
        "tuned": found.tuned,
        "log": found.engine_log,
        "headers": found.headers,
        "states": found.states,
        "sent weights": found.sent_weights,
        "weights": weights_folder(),
    }
    rows = [(name, str(path)) for name, path in places.items()]
    if options.json:
        output.json(dict(rows))
    else:
        output.table(Table(("", ""), rows))
    return ExitCode.OK
