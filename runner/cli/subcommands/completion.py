"""`localrun completion`: a script that completes commands, flags and names in a shell."""

from __future__ import annotations

from models.errors import ExitCode, UsageError
from runner.cli.completion import SHELLS, script
from runner.cli.options import Options
from runner.cli.output import Output


def run(options: Options, output: Output) -> ExitCode:
    """Print it."""
    match options.words:
        case (shell,) if shell in SHELLS:
            output.lines(script(shell).splitlines())
        case _:
            raise UsageError(f"For which shell? localrun completion {' or '.join(SHELLS)}.")
    return ExitCode.OK
