"""`localrun bench`: measured, next to what was predicted."""

from __future__ import annotations

from pathlib import Path

from models.errors import ExitCode, UsageError
from runner.cli.load import load, ready, service_for
from runner.cli.options import Options
from runner.cli.output import Output
from runner.client.session import EngineSession
from runner.report.benchmark import benchmark_table, latency_line, network_lines
from runner.report.comparison import memory_table
from runner.report.contract import Json, bench_json
from runner.report.record import shared_sentence
from runner.service import sharing
from runner.service.benchmark import RUNS, measure
from runner.types.measurement import Benchmark


def run(options: Options, output: Output) -> ExitCode:
    """Load, measure, print both; then write the record, where one is asked for."""
    if options.share and options.share.is_dir():
        raise UsageError(f"{options.share} is a folder; --share wants a file.")
    with service_for(output) as service:
        session = load(service, output, *ready(service, options, output))
        measured = measure(session, told=output.progress)
        output.clear_progress()
        record = sharing.record_of(service.engine, session, measured) if options.share else None
    _print(measured, session, options, output)
    return _share(options.share, record, output) if options.share and record else ExitCode.OK


def _share(path: Path, record: Json, output: Output) -> ExitCode:
    """What was measured is printed by now, whatever becomes of the file."""
    try:
        sharing.write(path, record)
    except UsageError as error:
        output.error(str(error))
        return error.exit_code
    output.note(shared_sentence(str(path)))
    return ExitCode.OK


def _print(measured: Benchmark, session: EngineSession, options: Options, output: Output) -> None:
    candidate, loaded = session.candidate, session.loaded
    if options.json:
        output.json(bench_json(measured, candidate, loaded, RUNS))
        return
    output.table(benchmark_table(measured, candidate.predicted))
    output.line(latency_line(measured, loaded))
    output.lines(network_lines(measured, candidate, session.plan.machine))
    output.line()
    output.table(memory_table(candidate, loaded))
