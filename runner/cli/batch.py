"""Many prompts over one load, several at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import DoesNotFit, EngineError, ExitCode, UsageError
from runner.cli.batch_files import Answers
from runner.cli.batch_lines import BatchLine, read_lines
from runner.cli.batch_workers import Workers
from runner.cli.load import open_for_many
from runner.cli.options import Options
from runner.cli.output import Output
from runner.cli.prompt import read_text, sampling_of
from runner.cli.turn import Outcome, stopping, unseen
from runner.report import contract
from runner.report.batch import Pace, progress_line
from runner.types.generation import Chunk

if TYPE_CHECKING:
    from runner.client.attached import AttachedService
    from runner.service.service import LocalService
    from runner.types.service import Answering


def batch(service: LocalService | AttachedService, options: Options, output: Output) -> ExitCode:
    """A line of IN is asked, plain or as an object with settings of its own; OUT gets an object for each, as they end.

    A line that is wrong and a prompt that fails have their error in their line, and lead to an EngineError in the end.
    What OUT has an answer to is not asked again, so an interrupted batch goes on where it was.
    """
    assert options.batch is not None and options.out is not None
    if options.out.exists() and options.out.samefile(options.batch):
        raise UsageError("--out must be another file than --batch.")
    sampling, text = sampling_of(options, service), read_text(options.batch)
    lines = list(read_lines(text, sampling, service, options.system or ""))
    wrong = [line for line in lines if line.wrong is not None]
    for line in wrong:
        output.warn(str(line.wrong))
    with closing(Answers(options.out)) as answers:
        _tell_state(answers, lines, options.out, output)
        run = _Run(options, output, answers, len(lines))
        left = answers.left(lines)
        run.refuse([line for line in left if line.wrong is not None])
        if left := [line for line in left if line.wrong is None]:
            failed = len(wrong) + answers.failed(lines)
            run.ask(open_for_many(service, options, output), left, failed)
            return ExitCode.OK
        if failed := len(wrong) + answers.failed(lines):
            raise EngineError(
                f"{failed} of {len(lines)} prompts have failed, and no other is left; their lines say why."
            )
    output.note(f"All {len(lines)} prompts are answered already.")
    return ExitCode.OK


def _tell_state(answers: Answers, lines: Sequence[BatchLine], out: Path, output: Output) -> None:
    if answers.was_cut:
        output.warn(f"{out} ended in the middle of a line, which was cut off; its prompt is asked again.")
    if others := answers.others(lines):
        output.warn(f"Lines of {out} that answer no prompt of this batch stay as they are: {others}.")


class _Run:
    def __init__(self, options: Options, output: Output, answers: Answers, count: int) -> None:
        self._options, self._output, self._answers, self._count = options, output, answers, count

    def refuse(self, lines: Sequence[BatchLine]) -> None:
        """Say in OUT that these cannot be asked."""
        for line in lines:
            assert line.wrong is not None
            self._write(line, {**contract.no_answer_json(), **contract.error_json(line.wrong)})

    def ask(self, session: Answering, left: Sequence[BatchLine], failed: int) -> None:
        """Ask these; `failed` others have an error already. EngineError in the end where there is any."""
        pace = Pace(self._count, self._count - len(left), time.monotonic())
        with closing(Workers(session, left, session.placement.sequences)) as workers, stopping(workers):
            for line, answer in self._heard(workers):
                self._write(line, {"error": None, **answer.json(session)})
                if isinstance(answer.error, DoesNotFit):  # so do all others
                    raise answer.error
                failed += 1 if answer.error else 0
                pace = pace.after(answer.last.completion_tokens, time.monotonic())
                self._output.progress(progress_line(pace), final=pace.done == pace.count)
        if workers.is_stopped:
            raise KeyboardInterrupt
        if failed:
            raise EngineError(f"{failed} of {self._count} prompts failed; their lines say why.")

    def _heard(self, workers: Workers) -> Iterator[tuple[BatchLine, Outcome]]:
        """Whole answers; what befalls one on its way is said."""
        show = unseen(self._output)
        for heard in workers.heard():
            if isinstance(heard, Chunk):
                show(heard)
            elif heard[1].exit_code is not ExitCode.INTERRUPTED:
                yield heard

    def _write(self, line: BatchLine, answer: contract.Json) -> None:
        names = {"id": line.id, "line": line.number, "prompt": line.prompt, "asked": line.asked}
        try:
            self._answers.add({**names, **answer})
        except OSError as error:
            raise EngineError(f"{self._options.out} could not be written: {error.strerror}.") from None
