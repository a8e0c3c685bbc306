"""`localrun embed`: a vector for each line of text."""

from __future__ import annotations

from contextlib import ExitStack, closing

from models.errors import ExitCode
from runner.cli.load import service_for
from runner.cli.options import Options
from runner.cli.output import Output
from runner.cli.texts import source
from runner.cli.vectors import Gathered, Pass, Rows, as_lines, open_vectors
from runner.report.vectors import prefix_note
from runner.types.commands import Embed
from runner.types.vectors import Purpose


def run(options: Options, output: Output) -> ExitCode:
    """Lines of JSON on stdout, or rows of a file, or with --json one object."""
    with ExitStack() as stack:
        descriptor = stack.enter_context(source(options.texts))
        rows = stack.enter_context(closing(Rows(options.npy))) if options.npy else None
        service = stack.enter_context(service_for(output))
        plan, session = open_vectors(service, options, output, Purpose.EMBED)
        prefixes = service.prefixes(plan)
        if note := prefix_note(prefixes, options.role):
            output.note(note)
        prefix = prefixes.of(options.role) if prefixes and options.role else ""
        texts = Pass(session, lambda texts: Embed(tuple(prefix + text for text in texts), options.truncate), output)
        gathered = Gathered(Purpose.EMBED)
        take = gathered.take if options.json else rows.take if rows else as_lines(output, Purpose.EMBED)
        code = texts.over(descriptor, take)
        if options.json:
            output.json(gathered.json(plan, session, texts.done))
    return code
