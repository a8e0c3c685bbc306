"""`localrun serve`: models behind a socket, for every program that speaks to a model server."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import EngineError, ExitCode, UsageError
from runner.cli.load import ready, service_for
from runner.cli.options import Options
from runner.cli.output import Output
from runner.cli.prompt import read_text
from runner.cli.user_service import install, remove
from runner.client import runtime
from runner.client.socket import sweep
from runner.report.serving import listening_words, no_private_door
from runner.types.address import Address, parse_address

if TYPE_CHECKING:  # the server is imported when it is started: others that import this command have no use for it
    from runner.api.guard import Rules
    from runner.api.pool import Pool

DEFAULT_LISTEN = "127.0.0.1:8080"


def run(options: Options, output: Output) -> ExitCode:
    """Answer until it is stopped; or see to it that it is started with the user's session."""
    if options.remove_service:
        return remove(output)
    if options.install_service:
        rules_of(options, parse_address(options.listen or DEFAULT_LISTEN))  # what is wrong is said at once
        typed = sys.argv[sys.argv.index("serve") + 1 :]
        return install(options, output, [word for word in typed if word not in ("--install-service", "--yes")])
    return _serve(options, output)


def _serve(options: Options, output: Output) -> ExitCode:
    """Load the models that are named, then answer."""
    from runner.api.app import application
    from runner.api.desk import Desk
    from runner.api.limits import Limits
    from runner.api.listening import bound, server
    from runner.api.pool import Pool

    address, limits = parse_address(options.listen or DEFAULT_LISTEN), Limits()
    rules = rules_of(options, address)
    with ExitStack() as stack:
        door = stack.enter_context(closing(bound(address)))
        pool = stack.enter_context(closing(Pool(options.wish, output.note, options.cache_size)))
        _open_private_door(stack, pool, output)
        for name in options.words:
            with service_for(output) as service:
                ready(service, replace(options, model=name), output)
            with pool.lease(pool.names.serve(name).name):
                output.note(f"{name} is loaded.")
        for sentence in listening_words(address.host, door.getsockname()[1], is_private=address.is_loopback):
            output.note(sentence)
        server(application(Desk(pool, options.sampling, limits), rules), limits).run([door])
    return ExitCode.OK


def _open_private_door(stack: ExitStack, pool: Pool, output: Output) -> None:
    """`ps`, `stop` and this user's other front ends come in there, as long as the server lasts."""
    from runner.api.door import Door
    from runner.api.kept import KeptModels
    from runner.api.standby import standing_by
    from runner.api.warm import WarmDesk

    def leave() -> None:
        with suppress(OSError):
            folder.rmdir()  # where no other server is

    try:
        folder = runtime.made()
        sweep(folder)
        stack.callback(leave)
        desk = WarmDesk(KeptModels(pool, is_lasting=True))
        path = folder / runtime.of_server(os.getpid())
        stack.enter_context(closing(Door(path, desk.answer)))
        stack.enter_context(standing_by(path))
    except EngineError as error:
        output.warn(no_private_door(str(error)))


def rules_of(options: Options, address: Address) -> Rules:
    """Who may ask. UsageError where other computers could ask without a key."""
    from runner.api.guard import Rules

    key = _key(options.api_key_file) if options.api_key_file is not None else None
    if key is None and not address.is_loopback:
        raise UsageError(f"{address.host} can be reached by other computers: --api-key-file FILE keeps strangers out.")
    names = {"localhost", address.host.casefold()}
    if not address.is_loopback:
        names |= {socket.gethostname().casefold(), socket.getfqdn().casefold()}
    return Rules(key, frozenset(names), frozenset(options.cors))


def _key(path: Path) -> str:
    """The first line of a file. UsageError where there is none, or none that a header can carry."""
    key = next(iter(read_text(path).splitlines()), "").strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"{path} has no API key in its first line: letters and digits without a space.")
    return key
