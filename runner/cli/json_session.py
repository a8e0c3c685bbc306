"""The other end of `import localrun`: conversations as JSON lines on stdin, answers as JSON lines on stdout."""

from __future__ import annotations

import json
import queue
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from models.errors import ExitCode, UsageError
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
    """Load, say what was loaded, then answer question after question until stdin ends; that ends a load, too."""
    questions = _Questions()
    sampling = sampling_of(options, service)
    session = open_model(service, options, output)
    questions.stop = session.stop
    output.json(_loaded(session))
    while (asked := questions.next()) is not _END:
        try:
            question = read_question(asked, sampling)
        except UsageError as error:
            output.json(contract.error_json(error))
        else:
            output.json(take_turn(session, *question, as_json_lines(output)).json(session))
    return ExitCode.OK


class _Questions:
    """What comes on stdin, heard from now on; `stop` is what a stop calls, and the end of stdin."""

    def __init__(self) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        main = threading.main_thread().ident
        assert main is not None
        self.stop: Callable[[], None] = lambda: signal.pthread_kill(main, signal.SIGINT)
        self._waiting: queue.SimpleQueue[object] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def next(self) -> object:
        """The next question; _END behind the last."""
        return self._waiting.get()

    def _listen(self) -> None:
        for line in sys.stdin:
            asked = _parsed(line)
            if asked == {"stop": True}:
                self.stop()
            else:
                self._waiting.put(asked)
        self.stop()
        self._waiting.put(_END)


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
