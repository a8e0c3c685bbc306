"""A chat line by line (--plain), for terminals without places and for pipes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from models.errors import ExitCode, LocalrunError
from runner.cli.files import tell_sizes
from runner.cli.kept_turns import KeptTurns
from runner.cli.load import load, open_model, ready
from runner.cli.options import Options
from runner.cli.output import Output
from runner.cli.prompt import MOST_LETTERS, Prompt, bounded, readable, sampling_of
from runner.cli.run import end_line, tell
from runner.cli.turn import as_text
from runner.report.room import Way, dropped, need, remedies
from runner.service.service import LocalService
from runner.types.attachment import Attachment
from runner.types.conversation import Turn
from runner.types.room import Shortage, shortage


def chat(service: LocalService, options: Options, output: Output, files: Sequence[Attachment] = ()) -> ExitCode:
    """Turns until the input ends; an empty line is ignored. The code is that of the last turn.

    `files` go before the first question.
    """
    plain = _PlainChat(service, options, output, files)
    output.note("End with Ctrl-D; Ctrl-C stops an answer.")
    code = ExitCode.OK
    while (line := plain.next_line()) is not None:
        if line.strip():
            code = plain.turn(line)
    plain.leave()
    return code or plain.exit_code


class _PlainChat:
    """A chat that outlives what befalls a turn. One that a person types is kept, as on the screen."""

    def __init__(self, service: LocalService, options: Options, output: Output, files: Sequence[Attachment]) -> None:
        self._service, self._options, self._output = service, options, output
        self._is_typed = output.out_is_terminal and sys.stdin.isatty()
        self._sampling = sampling_of(options, service)
        session = open_model(service, options, output)
        self._turns = KeptTurns((service, session), options, output, is_kept=self._is_typed)
        self._files = tuple(files)
        tell_sizes(session, files, output)

    @property
    def exit_code(self) -> ExitCode:
        """Whether all of it is kept."""
        return self._turns.exit_code

    def leave(self) -> None:
        """The end of input."""
        self._turns.leave()

    def next_line(self) -> str | None:
        """What is said next; None at the end of input."""
        if self._is_typed:
            if self._output.escapes:
                import readline  # noqa: F401  (history and editing for input(); it switches bracketed paste)

            try:
                return readable(input("> "), self._output)
            except EOFError:
                return None
        line = bounded(sys.stdin.readline(MOST_LETTERS))
        return readable(line.rstrip("\n"), self._output) if line else None

    def turn(self, line: str) -> ExitCode:
        """Ask, and show the answer; a turn that fails takes its question back, unless it has said something."""
        said = Prompt(line, self._files).text
        if not self._fits(said):
            return ExitCode.OK
        self._files = ()
        answer = self._turns.ask(said, self._sampling, as_text(self._output))
        end_line(answer, self._output)
        session = self._turns.session
        tell(session, answer, self._options, self._output)
        if not self._options.stats and answer.error is None:
            self._output.note(self._turns.ending)
        return ExitCode.OK if answer.error is None else answer.error.exit_code

    def _fits(self, said: str) -> bool:
        """Whether it may be asked, after making room for it where there is none."""
        while (short := self._shortage(said)) is not None:
            way = self._chosen(short)
            if way is None:
                return not self._is_typed  # nobody was asked: let the engine say what it makes of it
            self._make_room(way, short)
        return True

    def _shortage(self, said: str) -> Shortage | None:
        conversation = self._turns.log.conversation
        wanted = replace(conversation, turns=(*conversation.turns, Turn("user", said)))
        try:
            return shortage(self._turns.session, wanted, self._sampling, fresh=True)
        except LocalrunError:
            return None  # the turn meets the same, and either goes on all the same or says it

    def _chosen(self, short: Shortage) -> Way | None:
        """What a person chooses; off a terminal the oldest turns are dropped, and it is said."""
        if not self._is_typed:
            return Way.DROP if short.drop else None
        ways = [one for one in remedies(short) if one.helps]
        self._output.warn(need(short))
        if not ways:
            for one in remedies(short):
                self._output.note(f"{one.title}: {one.meaning}")
            return None
        chosen = self._output.choose([f"{one.title}. {one.meaning}" for one in ways])
        return None if chosen is None else ways[chosen].way

    def _make_room(self, way: Way, short: Shortage) -> None:
        match way:
            case Way.MORE:
                self._lengthen(short)
            case Way.DROP:
                self._turns.skip(short.drop)
                self._output.note(dropped(short))
            case Way.NEW:
                self._turns.begin_anew()

    def _lengthen(self, short: Shortage) -> None:
        """Load anew with more context; where that does not fit the machine, it is said and all stays."""
        longer = replace(self._options, wish=replace(self._options.wish, ctx=short.longer))
        try:
            planned = ready(self._service, longer, self._output)
        except LocalrunError as error:
            self._output.warn(str(error))
            return
        self._turns.leave()
        self._turns.session = load(self._service, self._output, *planned)
