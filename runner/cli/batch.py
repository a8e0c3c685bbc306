"""Many prompts over one load."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from models.errors import DoesNotFit, EngineError, ExitCode, UsageError
from runner.cli.batch_files import Answers, BatchLine, read_lines
from runner.cli.load import open_model
from runner.cli.options import Options
from runner.cli.output import Output
from runner.cli.prompt import opening, read_text, sampling_of
from runner.cli.turn import Outcome, take_turn, unseen
from runner.client.session import EngineSession
from runner.service.service import LocalService


def batch(service: LocalService, options: Options, output: Output) -> ExitCode:
    """A prompt per line of IN, plain or as `{"prompt": …}` with sampling settings; an object per line of OUT.

    A prompt that fails has its error in its line, and the next one is asked. What OUT has an answer to is not asked
    again, so an interrupted batch goes on where it was.
    """
    assert options.batch is not None and options.out is not None
    if options.out.exists() and options.out.samefile(options.batch):
        raise UsageError("--out must be another file than --batch.")
    lines = list(read_lines(read_text(options.batch), sampling_of(options, service)))
    with closing(Answers(options.out)) as answers:
        _tell_state(answers, lines, options.out, output)
        left = answers.left(lines)
        if not left:
            output.note(f"All {len(lines)} prompts are answered already.")
            return ExitCode.OK
        session = open_model(service, options, output)
        return _Run(session, options, output, answers).ask(left, len(lines))


def _tell_state(answers: Answers, lines: Sequence[BatchLine], out: Path, output: Output) -> None:
    if answers.was_cut:
        output.warn(f"{out} ended in the middle of a line, which was cut off; its prompt is asked again.")
    if others := answers.others(lines):
        output.warn(f"Lines of {out} that answer no prompt of this batch stay as they are: {others}.")


class _Run:
    def __init__(self, session: EngineSession, options: Options, output: Output, answers: Answers) -> None:
        self._session, self._options, self._output, self._answers = session, options, output, answers
        self._failed: list[ExitCode] = []

    def ask(self, left: Sequence[BatchLine], count: int) -> ExitCode:
        """Ask one after the other; the code is that of the last failure."""
        done = count - len(left)
        for number, line in enumerate(left, done + 1):
            code = self._answer(line)
            if code is ExitCode.INTERRUPTED:
                return code
            self._output.progress(f"{number} of {count} prompts", final=number == count)
        if self._failed:
            self._output.error(f"{len(self._failed)} of {count} prompts failed; their lines say why.")
            return self._failed[-1]
        return ExitCode.OK

    def _answer(self, line: BatchLine) -> ExitCode:
        messages = opening(self._options, line.prompt)
        answer = take_turn(self._session, messages, line.sampling, unseen(self._output))
        if answer.exit_code is ExitCode.INTERRUPTED:
            return answer.exit_code
        self._write(line, answer)
        if isinstance(answer.error, DoesNotFit):  # so do all others
            raise answer.error
        if answer.error is not None:
            self._failed.append(answer.exit_code)
        return answer.exit_code

    def _write(self, line: BatchLine, answer: Outcome) -> None:
        names = {"id": line.id, "line": line.number, "prompt": line.prompt, "asked": line.asked}
        try:
            self._answers.add({**names, "error": None, **answer.json(self._session)})
        except OSError as error:
            raise EngineError(f"{self._options.out} could not be written: {error.strerror}.") from None
