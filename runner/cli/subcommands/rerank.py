"""`localrun rerank`: how well each line of text answers a query."""

from __future__ import annotations

import json

from models.errors import ExitCode, UsageError
from runner.cli.load import service_for
from runner.cli.options import Options
from runner.cli.output import Output
from runner.cli.texts import source
from runner.cli.vectors import Gathered, Pass, as_lines, open_vectors
from runner.types.commands import Score
from runner.types.vectors import Purpose


def run(options: Options, output: Output) -> ExitCode:
    """Lines of JSON on stdout, in order; with --top N the best N, the best first; with --json one object."""
    query = options.query
    if not query or not query.strip():
        raise UsageError("What are the texts ranked for? localrun rerank MODEL --query QUERY.")
    with source(options.texts) as descriptor, service_for(output) as service:
        plan, session = open_vectors(service, options, output, Purpose.RANK)
        texts = Pass(session, lambda texts: Score(query, texts, options.truncate), output)
        gathered = Gathered(Purpose.RANK, options.top)
        code = texts.over(descriptor, gathered.take if options.json or options.top else as_lines(output, Purpose.RANK))
        if options.json:
            output.json(gathered.json(plan, session, texts.done))
        elif options.top:
            output.lines(json.dumps(row, ensure_ascii=False) for row in gathered.rows)
    return code
