"""`localrun serve`: models behind a socket, for every program that speaks to a model server."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace

from models.errors import ExitCode
from runner.cli.load import ready, service_for
from runner.cli.options import Options
from runner.cli.output import Output

DEFAULT_LISTEN = "127.0.0.1:8080"


def run(options: Options, output: Output) -> ExitCode:
    """Load the models that are named, then answer until it is stopped."""
    from runner.api.app import application
    from runner.api.desk import Desk
    from runner.api.limits import Limits
    from runner.api.listening import bound, parse_address, server
    from runner.api.pool import Pool

    address, limits = parse_address(options.listen or DEFAULT_LISTEN), Limits()
    with ExitStack() as stack:
        door = stack.enter_context(closing(bound(address)))
        pool = stack.enter_context(closing(Pool(options.wish, output.note)))
        for name in options.words:
            with service_for(output) as service:
                ready(service, replace(options, model=name), output)
            with pool.lease(pool.names.serve(name).name):
                output.note(f"{name} is loaded.")
        output.note(f"Listening on http://{options.listen or DEFAULT_LISTEN}.")
        server(application(Desk(pool, options.sampling, limits)), limits).run([door])
    return ExitCode.OK
