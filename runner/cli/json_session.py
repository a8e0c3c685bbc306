"""The other end of `import localrun`: conversations as JSON lines on stdin, answers as JSON lines on stdout."""

from __future__ import annotations

import json
import queue
import sys
import threading
from dataclasses import replace
from typing import Any

from models.errors import ExitCode, LocalrunError, UsageError
from runner.cli.options import SAMPLING, Options, sampling_from
from runner.cli.output import Output
from runner.cli.run import Told, open_model, speak
from runner.client.session import EngineSession
from runner.report import contract
from runner.service.service import LocalService
from runner.types.generation import Message
from runner.types.sampling import Sampling

Request = dict[str, Any]


def talk(backend: LocalService, options: Options, output: Output) -> ExitCode:
    """Load, say what was loaded, then answer request after request until stdin ends."""
    session = open_model(backend, options, output)
    output.json(_loaded(session))
    requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(session, requests), daemon=True).start()
    while (request := requests.get()) is not None:
        try:
            told = speak(session, _messages(request), _sampling(request, options), replace(options, jsonl=True), output)
        except LocalrunError as error:
            output.json(contract.error_json(error))
            continue
        failed = contract.error_json(told.error) if told.error else {}
        output.json({**told.json(session), **failed})
        if told.error is not None:
            return told.error.exit_code
    return ExitCode.OK


def _listen(session: EngineSession, requests: queue.SimpleQueue[Request | None]) -> None:
    """Requests go to the queue; a stop goes to the engine at once."""
    for line in sys.stdin:
        request = json.loads(line)
        if request.get("stop"):
            session.stop()
        else:
            requests.put(request)
    session.stop()
    requests.put(None)


def _loaded(session: EngineSession) -> contract.Json:
    told = Told().json(session)
    return {key: told[key] for key in ("model", "placement", "memory", "notes")}


def _messages(request: Request) -> list[Message]:
    try:
        return [Message(str(one["role"]), str(one["content"])) for one in request["messages"]]
    except (KeyError, TypeError):
        raise UsageError("A message is an object with a role and a content.") from None


def _sampling(request: Request, options: Options) -> Sampling:
    """The request's own settings over those of the command line."""
    asked: dict[str, Any] = dict(request.get("sampling") or {})
    stop = asked.pop("stop", options.sampling.stop)
    texts = {key: str(value) for key, value in asked.items() if value is not None}
    known = {flag.key for flag in SAMPLING}
    if unknown := sorted(texts.keys() - known):
        raise UsageError(f"There is no sampling setting {unknown[0]!r}.")
    return replace(sampling_from(texts, options.sampling), stop=(stop,) if isinstance(stop, str) else tuple(stop))
