"""`localrun plan`: every way this machine can run the model, before a weight byte moves."""

from __future__ import annotations

from models.errors import ExitCode
from runner.cli.load import service_for
from runner.cli.options import Options
from runner.cli.output import Output
from runner.report import sentences
from runner.report.contract import plan_json
from runner.report.plan_table import plan_lines


def run(options: Options, output: Output) -> ExitCode:
    """Print the plan; where nothing runs, what would."""
    assert options.model is not None
    with service_for(output) as service:
        plan = service.plan(options.model, options.wish, options.on, wide=True)
        instead = "" if plan.chosen is not None else service.instead(plan)
    if options.json:
        output.json({**plan_json(plan), **({"instead": instead} if instead else {})})
    else:
        output.lines(plan_lines(plan))
    if plan.chosen is None:
        output.error(" ".join(filter(None, (sentences.why(plan), instead))))
        return ExitCode.DOES_NOT_FIT
    return ExitCode.OK
