"""The other end of `import localrun`: conversations as JSON lines on stdin, answers as JSON lines on stdout."""

from __future__ import annotations

import json
import queue
import sys
import threading
from typing import Any

from models.errors import ExitCode, LocalrunError, UsageError
from runner.cli.load import open_model
from runner.cli.options import Options
from runner.cli.output import Output
from runner.cli.prompt import sampling_of
from runner.cli.turn import Outcome, as_json_lines, take_turn
from runner.client.session import EngineSession
from runner.report import contract
from runner.service.service import LocalService
from runner.types.generation import Message
from runner.types.sampling import Sampling, with_settings

_END = object()


def answer_questions(service: LocalService, options: Options, output: Output) -> ExitCode:
    """Load, say what was loaded, then answer question after question until stdin ends."""
    sampling = sampling_of(options, service)
    session = open_model(service, options, output)
    output.json(_loaded(session))
    questions: queue.SimpleQueue[object] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(session, questions), daemon=True).start()
    while (asked := questions.get()) is not _END:
        try:
            answer = take_turn(session, *read_question(asked, sampling), as_json_lines(output))
        except LocalrunError as error:
            output.json(contract.error_json(error))
            continue
        output.json(answer.json(session))
        if answer.error is not None:
            return answer.error.exit_code
    return ExitCode.OK


def _listen(session: EngineSession, questions: queue.SimpleQueue[object]) -> None:
    """Questions go to the queue, _END behind the last; a stop goes to the engine at once."""
    for line in sys.stdin:
        asked = _parsed(line)
        if asked == {"stop": True}:
            session.stop()
        else:
            questions.put(asked)
    session.stop()
    questions.put(_END)


def _parsed(line: str) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None


def read_question(asked: Any, sampling: Sampling) -> tuple[tuple[Message, ...], Sampling]:
    """A conversation, and its own sampling settings over those of the command line. Raises UsageError."""
    try:
        messages = tuple(Message(str(one["role"]), str(one["content"])) for one in asked["messages"])
        own = dict(asked.get("sampling") or {})
    except (ValueError, KeyError, TypeError):
        raise UsageError("A message is an object with a role and a content.") from None
    return messages, with_settings(sampling, own)


def _loaded(session: EngineSession) -> contract.Json:
    empty = Outcome().json(session)
    return {key: empty[key] for key in ("model", "placement", "memory", "notes")}
