"""`localrun stop`: end the engines that are kept warm, whoever asks them."""

from __future__ import annotations

from models.errors import ExitCode, ModelNotFound
from runner.cli.options import Options
from runner.cli.output import Output
from runner.cli.subcommands.ps import said_by_all
from runner.client.attach import lasting
from runner.report.warm import NONE_WARM, ended
from runner.types.warm import End


def run(options: Options, output: Output) -> ExitCode:
    """Those of a model, or all. ModelNotFound where that one is not warm."""
    name = None if options.model is None else lasting(options.model)
    names = [name for some in said_by_all(End(name), output) for name in some]
    if not names and options.model is not None:
        raise ModelNotFound(f"{options.model} is not kept warm; localrun ps shows what is.")
    if options.json:
        output.json({"ended": names})
    else:
        output.note(ended(names) if names else NONE_WARM)
    return ExitCode.OK
