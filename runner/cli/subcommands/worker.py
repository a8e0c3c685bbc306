"""`localrun worker`: lend this machine's devices to another localrun."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import closing

from models.errors import EngineError, ExitCode, UsageError
from runner.cli.interrupts import ending_on, started_engine
from runner.cli.options import Options
from runner.cli.output import Output
from runner.client.process import EngineProcess
from runner.lending.worker import Terms, Worker
from runner.report.lending import changed, in_use, lends, reachable_by_others
from runner.service.machines import Machines
from runner.storage.paths import paths
from runner.storage.sent_weights import SentWeights
from runner.types.address import Address, parse_address
from runner.types.lending import Pulse

_USUAL = "127.0.0.1:50052"


def run(options: Options, output: Output) -> ExitCode:
    """Lend until it is stopped."""
    address = _listening(options)
    terms = Terms(address.host, address.port, options.wish.devices, options.memory)
    with started_engine() as engine, ending_on(signal.SIGTERM, signal.SIGHUP):
        if options.lifeline:
            threading.Thread(target=_end_with_stdin, daemon=True).start()
        try:
            _lend(options, output, engine, terms)
        except KeyboardInterrupt:  # the usual end
            return ExitCode.OK
    raise EngineError("The backend dies whenever it is started; the engine's log says why.")


def _lend(options: Options, output: Output, engine: EngineProcess, terms: Terms) -> None:
    weights = SentWeights(paths().sent_weights) if options.cache else None
    with closing(Worker(engine, terms, Machines(engine, paths()).here, weights, output.warn)) as worker:
        output.line(worker.endpoint)
        output.end()
        output.warn(lends(worker.devices, worker.endpoint))
        before: Pulse | None = None

        def show(now: Pulse) -> None:
            nonlocal before
            output.progress(in_use(worker.devices, now), final=changed(before, now))
            before = now

        worker.watch(show)


def _listening(options: Options) -> Address:
    """UsageError where others reach it and nobody says that they may."""
    endpoint = options.listen or _USUAL
    address = parse_address(endpoint)
    if not (address.is_loopback or options.i_trust_this_network):
        raise UsageError(reachable_by_others(endpoint, address.port))
    return address


def _end_with_stdin() -> None:
    """Whoever started us holds the other end, and writes nothing."""
    while os.read(0, 1 << 10):  # below sys.stdin, whose lock would be missed at the end
        pass
    os.kill(os.getpid(), signal.SIGTERM)
