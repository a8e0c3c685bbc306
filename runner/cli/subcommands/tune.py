"""`localrun tune`: the few best placements of this machine, measured; what wins is planned from then on."""

from __future__ import annotations

from models.errors import ExitCode
from runner.cli.load import ready, service_for
from runner.cli.options import Options
from runner.cli.output import Output
from runner.report.tuning import conclusion, trial_line, tuning_json, tuning_table


def run(options: Options, output: Output) -> ExitCode:
    """Measure, keep, print. Ctrl-C ends the measuring, and what was measured by then counts."""
    code = ExitCode.OK
    with service_for(output) as service:
        plan, index = ready(service, options, output)
        tuner = service.tuner(plan, index, options.budget)
        try:
            for trial in tuner.trials():
                output.progress(trial_line(trial, tuner.own), final=True)
        except KeyboardInterrupt:
            if not tuner.has_measured:
                raise
            code = ExitCode.INTERRUPTED
        tuning = tuner.conclusion()
        service.keep(plan, index, tuning)
    if options.json:
        output.json(tuning_json(tuning, plan, plan.candidates[index].quant))
        return code
    output.table(tuning_table(tuning))
    output.line()
    output.line(conclusion(tuning))
    return code
