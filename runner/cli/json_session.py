"""The other end of `import localrun`: conversations as JSON lines on stdin, answers as JSON lines on stdout."""

from __future__ import annotations

import json
import queue
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from models.errors import EngineError, ExitCode, LocalrunError, UsageError
from runner.cli.load import open_model
from runner.cli.options import Options
from runner.cli.output import Output
from runner.cli.prompt import sampling_of
from runner.cli.turn import gathered, tell_aside
from runner.client.attached import AttachedService
from runner.report import contract
from runner.types.generation import Chunk, Message
from runner.types.sampling import Sampling, with_settings
from runner.types.tools_json import KEYS, read_messages, with_tools
from runner.types.vectors import Purpose

if TYPE_CHECKING:
    from runner.service.service import LocalService
    from runner.types.service import Answering, Stream


def answer_questions(service: LocalService | AttachedService, options: Options, output: Output) -> ExitCode:
    """Load, say what was loaded, then answer questions, also side by side, until stdin ends; that ends a load, too."""
    questions = _Questions()
    if not isinstance(service, AttachedService):
        assert options.model is not None
        use = service.use_of(options.model, options.wish)
        if use is not Purpose.CHAT:
            from runner.cli.texts_session import answer_texts

            return answer_texts(service, options, output, use, questions)
    sampling = sampling_of(options, service)
    session = open_model(service, options, output)
    desk = _Desk(session, sampling, output)
    questions.stop = desk.stop
    running = session.plan.model.name, session.candidate, session.placement, session.loaded
    output.json(contract.loaded_json(*running))
    while (asked := questions.next()) is not END:
        desk.take(asked if isinstance(asked, dict) else {})
    desk.close()
    return ExitCode.OK


END = object()


class _Desk:
    """Questions under way, by the `id` that each came with and its answers go with."""

    def __init__(self, session: Answering, sampling: Sampling, output: Output) -> None:
        self._session, self._sampling, self._output = session, sampling, output
        self._saying = threading.Lock()
        self._answers: dict[object, Stream] = {}
        self._stopped: set[object] = set()
        self._threads: list[threading.Thread] = []

    def take(self, asked: contract.Json) -> None:
        """Answer a question in a thread of its own."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._threads.append(threading.Thread(target=self._work, args=(asked,), daemon=True))
        self._threads[-1].start()

    def stop(self, number: object = None) -> None:
        """End this answer, or all."""
        if number is None:
            self._session.stop()
            return
        self._stopped.add(number)
        if answer := self._answers.get(number):
            answer.stop()

    def close(self) -> None:
        """End all, and wait for it."""
        self._session.stop()
        for thread in self._threads:
            thread.join()

    def _work(self, asked: contract.Json) -> None:
        number = asked.get("id")
        try:
            self._say(number, self._counted(asked["count"]) if "count" in asked else self._answered(number, asked))
        except LocalrunError as error:
            self._say(number, contract.error_json(error))
        except Exception as error:  # nobody shall wait for ever
            self._say(number, contract.error_json(EngineError(f"The question failed: {error!r}.")))
        finally:
            self._answers.pop(number, None)
            self._stopped.discard(number)

    def _answered(self, number: object, asked: contract.Json) -> contract.Json:
        messages, sampling = read_question({"messages": [], **asked} if "raw" in asked else asked, self._sampling)
        is_watched = asked.get("watched", True)
        answer = self._session.generate(messages, sampling, raw=asked.get("raw"), is_watched=is_watched)
        self._answers[number] = answer
        if number in self._stopped:
            answer.stop()
        return gathered(answer, sampling, partial(self._show, number)).json(self._session)

    def _counted(self, asked: object) -> contract.Json:
        if isinstance(asked, str):
            return {"count": self._session.count_text(asked)}
        return {"count": self._session.count_tokens(read_question({"messages": asked}, self._sampling)[0])}

    def _show(self, number: object, chunk: Chunk) -> None:
        if chunk.says_something:
            self._say(number, contract.delta_json(chunk))
        with self._saying:
            tell_aside(chunk, self._output)

    def _say(self, number: object, said: contract.Json) -> None:
        with self._saying:
            self._output.json(contract.numbered(said, number))


class _Questions:
    """What comes on stdin, heard from now on; `stop` is what a stop calls, and the end of stdin."""

    def __init__(self) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        main = threading.main_thread().ident
        assert main is not None
        self.stop: Callable[[object], None] = lambda _number: signal.pthread_kill(main, signal.SIGINT)
        self._waiting: queue.SimpleQueue[object] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def next(self) -> object:
        """The next question; END behind the last."""
        return self._waiting.get()

    def _listen(self) -> None:
        for line in sys.stdin:
            asked = _parsed(line)
            if isinstance(asked, dict) and asked.keys() == {"stop"}:
                self.stop(asked["stop"])
            else:
                self._waiting.put(asked)
        self.stop(None)
        self._waiting.put(END)


def _parsed(line: str) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None


def read_question(asked: Any, sampling: Sampling) -> tuple[tuple[Message, ...], Sampling]:
    """A conversation, and its own sampling settings over those of the command line. Raises UsageError."""
    if isinstance(asked, dict) and "texts" in asked:
        raise UsageError("This model answers prompts; it makes no vectors and ranks nothing.")
    try:
        said, own = asked["messages"], dict(asked.get("sampling") or {})
    except (ValueError, KeyError, TypeError):
        raise UsageError("A message is an object with a role and a content.") from None
    settings = {name: value for name, value in own.items() if name not in KEYS}
    return read_messages(said), with_tools(with_settings(sampling, settings), own)
