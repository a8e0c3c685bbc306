"""The conversation that a command begins or goes on with, and its turns, each on the disk as it grows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import ExitCode, UsageError
from runner.cli.earlier import store
from runner.cli.options import Options
from runner.cli.output import Output
from runner.cli.turn import Outcome, Show, take_turn
from runner.client.attach import lasting
from runner.report.conversation import OPEN_ELSEWHERE, damaged, going_on, unsaved
from runner.report.reread import reread_reason
from runner.report.turn import after_turn
from runner.report.words import one_line
from runner.storage.conversations import ConversationLog
from runner.types.generation import Chunk, Message
from runner.types.sampling import Sampling

if TYPE_CHECKING:
    from runner.client.attached import AttachedService
    from runner.service.service import LocalService
    from runner.types.service import Answering

Opened = tuple["LocalService | AttachedService", "Answering"]


class KeptTurns:
    """A conversation with a model. `is_kept` or a name or an earlier one: it has a file."""

    def __init__(self, opened: Opened, options: Options, output: Output, *, is_kept: bool = False) -> None:
        self._service, self.session = opened
        self._output, self._cache_prompt = output, options.cache_prompt
        self._is_refused = False
        self._recalled: tuple[Answering, str] | None = None
        self._asked: tuple[Answering, tuple[Message, ...]] | None = None
        self.ending = ""
        """How the last turn went: its numbers, or what ended it."""
        self.log = self._begun(options, is_kept=is_kept)
        self._recall()

    @property
    def _state_name(self) -> str | None:
        """What the engine's caches are remembered by; None where nobody will ask for them again."""
        if self.log.is_kept:
            return str(self.log.path)
        return f"prompt {self._cache_prompt}" if self._cache_prompt else None

    def _recall(self) -> None:
        """Go on from what is kept of the conversation, and keep more of it by its name, once for an engine and a name.

        A new one has its name for good when its file is made.
        """
        if (name := self._state_name) and self._recalled != (self.session, name):
            self._recalled = self.session, name
            self._service.recall(self.session, name)

    def _begun(self, options: Options, *, is_kept: bool) -> ConversationLog:
        label = f"{lasting(options.model or '')} {self.session.quant}"
        if options.continued is None:
            log = store().new(label, options.system or "")
            log.is_kept = is_kept or options.save is not None
        else:
            log = self._opened(Path(options.continued), as_copy=options.save is not None)
        with self._saving():
            if options.continued is not None and options.system not in (None, log.conversation.system):
                log.set_system(options.system or "")
            if options.save is not None:
                log.rename(options.save)
        return log

    def _opened(self, path: Path, *, as_copy: bool) -> ConversationLog:
        """An earlier one. UsageError where it cannot be opened."""
        try:
            log = store().copy(path) if as_copy else store().go_on(path)
        except OSError as error:
            raise UsageError(f"{path} cannot be opened: {error.strerror}.") from None
        self._output.note(going_on(log.conversation))
        if log.damaged:
            self._output.warn(damaged(path, log.damaged))
        if log.is_new and not as_copy:
            self._output.warn(OPEN_ELSEWHERE)
        return log

    def ask(self, prompt: str, sampling: Sampling, show: Show) -> Outcome:
        """Say it, and keep what is answered; a turn that fails before a word takes its question back."""
        before = len(self.log.conversation.turns)
        with self._saving():
            self.log.say("user", prompt)
        messages = self.log.conversation.messages
        with self._saving():
            self.log.say("assistant", "")
        self._recall()
        answer = take_turn(self.session, messages, sampling, self._keeping(show))
        self.ending = self._ended(answer, messages)
        with self._saving():
            if answer.error is not None and not answer.text:
                self.log.keep(before)
            else:
                if answer.calls:
                    self.log.call(answer.calls)
                self.log.end(self.ending)
        return answer

    def _ended(self, answer: Outcome, messages: tuple[Message, ...]) -> str:
        before = self._asked[1] if self._asked and self._asked[0] is self.session else None
        self._asked = self.session, messages
        if answer.error:
            return one_line(str(answer.error))
        return after_turn(answer.last, self.session.loaded.ctx, reread_reason(before, messages, answer.last))

    def _keeping(self, show: Show) -> Show:
        def keep(chunk: Chunk) -> None:
            show(chunk)
            if chunk.recast:
                with self._saving():
                    self.log.recast()
            if chunk.text or chunk.reasoning:
                with self._saving():
                    self.log.grow(chunk.text, chunk.reasoning)

        return keep

    def begin_anew(self) -> None:
        """A new conversation with the same system prompt."""
        self.leave()
        before = self.log
        self.log = store().new(before.conversation.model, before.conversation.system)
        self.log.is_kept = before.is_kept
        before.close()

    def skip(self, count: int) -> None:
        """Send the first `count` turns no longer."""
        with self._saving():
            self.log.skip(count)

    def leave(self) -> None:
        """Nobody says more for now: what the engine has read outlives it."""
        if (name := self._state_name) and self.log.conversation.turns:
            self._service.remember(self.session, name, self.log.conversation.messages)

    @property
    def exit_code(self) -> ExitCode:
        """Whether it is on the disk."""
        return ExitCode.ENGINE if self._is_refused else ExitCode.OK

    @contextmanager
    def _saving(self) -> Iterator[None]:
        """Say once that the disk refuses; what waits is written when it can be."""
        try:
            yield
            self._is_refused = False
        except OSError as error:
            if not self._is_refused:
                self._output.warn(unsaved(error.strerror))
            self._is_refused = True
