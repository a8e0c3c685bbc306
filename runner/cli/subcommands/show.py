"""`localrun show`: what the headers of a model say."""

from __future__ import annotations

from models.errors import ExitCode
from runner.cli.load import service_for
from runner.cli.options import Options
from runner.cli.output import Output
from runner.report.weights import description_json, description_lines


def run(options: Options, output: Output) -> ExitCode:
    """Print every set of weights that the name leads to."""
    assert options.model is not None
    with service_for(output) as service:
        found = service.describe(options.model, options.wish)
    if options.json:
        output.json([description_json(one, options.sampling) for one in found])
        return ExitCode.OK
    for number, one in enumerate(found):
        if number:
            output.line()
        output.lines(description_lines(one, options.sampling))
    return ExitCode.OK
