"""`localrun pull`: download what the plan chooses, and nothing else."""

from __future__ import annotations

from models.errors import ExitCode
from runner.cli.load import download, service_for
from runner.cli.options import Options
from runner.cli.output import Output


def run(options: Options, output: Output) -> ExitCode:
    """Bring the files and print where they are."""
    assert options.model is not None
    with service_for(output) as service:
        plan = service.plan(options.model, options.wish, wide=True)
        index = service.chosen(plan)
        candidate = plan.candidates[index]
        if candidate.download_bytes:
            download(service, options, output, plan, index)
        else:
            output.note(f"{candidate.quant} is here already.")
        files = [str(path) for path in service.paths_of(plan, index)]
    if options.json:
        output.json({"quant": candidate.quant, "bytes": candidate.file_bytes, "files": files})
    else:
        output.lines(files)
    return ExitCode.OK
