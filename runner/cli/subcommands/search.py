"""`localrun search`: GGUF repositories on the Hub, with what this machine could do with each."""

from __future__ import annotations

from models.errors import ExitCode, ModelNotFound
from runner.cli.load import service_for
from runner.cli.options import Options
from runner.cli.output import Output
from runner.report.search import hit_json, hit_line, search_head, width_of


def run(options: Options, output: Output) -> ExitCode:
    """Print a line for each repository, the most downloaded first, as headers arrive."""
    words = " ".join(options.words)
    with service_for(output) as service:
        found = service.search(words)
        if not found:
            raise ModelNotFound(f"The Hub has no GGUF repository whose name holds {words!r}.")
        if options.json:
            output.json([hit_json(hit) for hit in service.judged(found)])
            return ExitCode.OK
        width = width_of([one.repo for one in found])
        output.line(search_head(width))
        for number, hit in enumerate(service.judged(found), 1):
            output.clear_progress()
            output.line(hit_line(hit, width))
            output.progress(f"Reading headers: {number} of {len(found)} repositories")
        output.clear_progress()
    return ExitCode.OK
