"""`localrun bench`: measured, next to what was predicted."""

from __future__ import annotations

from models.errors import ExitCode
from runner.cli.load import open_model, service_for
from runner.cli.options import Options
from runner.cli.output import Output
from runner.report.benchmark import benchmark_table, latency_line
from runner.report.comparison import memory_table
from runner.report.contract import bench_json
from runner.service.benchmark import RUNS, measure


def run(options: Options, output: Output) -> ExitCode:
    """Load, measure, print both."""
    with service_for(output) as service:
        session = open_model(service, options, output)
        measured = measure(session, told=output.progress)
        output.clear_progress()
    candidate, loaded = session.candidate, session.loaded
    if options.json:
        output.json(bench_json(measured, candidate, loaded, RUNS))
        return ExitCode.OK
    output.table(benchmark_table(measured, candidate.predicted))
    output.line(latency_line(measured, loaded))
    output.line()
    output.table(memory_table(candidate, loaded))
    return ExitCode.OK
