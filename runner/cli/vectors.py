"""Texts through a model that makes vectors or scores: lines in, what became of each out, in order and at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from models.errors import ExitCode, UsageError
from runner.cli.load import ready, shown
from runner.cli.options import Options
from runner.cli.output import Output
from runner.cli.texts import Portion, portions
from runner.client.vectors import VectorSession
from runner.report import vectors as report
from runner.report.contract import loaded_json
from runner.report.vectors import Tally
from runner.service.service import LocalService
from runner.storage.npy import Matrix
from runner.types.commands import Embed, Score
from runner.types.plan import Plan
from runner.types.vectors import Purpose, Row

Ask = Callable[[tuple[str, ...]], Embed | Score]
Take = Callable[[Row], None]

_WORTH_TELLING_S = 1.0
_NAN = b"\x00\x00\xc0\x7f"  # of float32


def open_vectors(service: LocalService, options: Options, output: Output, use: Purpose) -> tuple[Plan, VectorSession]:
    """Plan for a use, download what is missing, load."""
    wished = replace(options, wish=replace(options.wish, use=use, pooling=options.pooling))
    plan, index = ready(service, wished, output)
    session = shown(service.load_vectors(plan, index), plan.candidates[index], output)
    for sentence in session.running.loaded.notes:
        output.warn(sentence)
    return plan, session


class Pass:
    """One pass over all texts. Each goes to `take` as soon as it is done; those that were refused are told."""

    def __init__(self, session: VectorSession, ask: Ask, output: Output) -> None:
        self._session, self._ask, self._output = session, ask, output
        self._began = time.perf_counter()
        self._failed: list[Row] = []
        self.done = Tally()

    def over(self, descriptor: int, take: Take) -> ExitCode:
        """To the end of the input; then how the command ends."""
        for portion in portions(descriptor):
            for row in self._rows(portion):
                take(row)
                self._tell(row, portion.share)
        if self.done.seconds > _WORTH_TELLING_S:
            self._output.progress(report.end_line(self.done), final=True)
        self._output.clear_progress()
        if self._failed:
            self._output.error(report.refused(self._failed, self.done.texts))
            return UsageError.exit_code
        return ExitCode.OK

    def _rows(self, portion: Portion) -> Iterator[Row]:
        texts = tuple(line.text for line in portion.lines if not line.wrong)
        made = (one for step in self._session.made(self._ask(texts)) for one in step) if texts else iter(())
        for line in portion.lines:
            yield Row(line, None if line.wrong else next(made))

    def _tell(self, row: Row, share: float | None) -> None:
        tokens = self.done.tokens + (row.made.tokens if row.made else 0)
        self.done = Tally(self.done.texts + 1, tokens, time.perf_counter() - self._began, share)
        if row.failure:
            self._failed.append(replace(row, line=replace(row.line, text="")))
            self._output.warn(report.line_note(row))
        self._output.progress(report.progress_line(self.done))


def as_lines(output: Output, use: Purpose) -> Take:
    """A line of JSON for each."""
    return lambda row: output.answer(json.dumps(report.row_json(row, use), ensure_ascii=False) + "\n")


class Gathered:
    """All rows as JSON; with `top` only so many of those that have a score, the best first."""

    def __init__(self, use: Purpose, top: int | None = None) -> None:
        self._use, self._top = use, top
        self._rows: list[report.Json] = []

    def take(self, row: Row) -> None:
        """The next row."""
        self._rows.append(report.row_json(row, self._use))

    @property
    def rows(self) -> list[report.Json]:
        """What is wanted of them."""
        if self._top is None:
            return self._rows
        scored = (row for row in self._rows if row["score"] is not None)
        return sorted(scored, key=lambda row: -row["score"])[: self._top]

    def json(self, plan: Plan, session: VectorSession, done: Tally) -> report.Json:
        """Everything as one object."""
        running = session.running
        runs = loaded_json(plan.model.name, running.candidate, running.placement, running.loaded)
        return {**runs, **report.all_json(self.rows, self._use, done, running.loaded.load_s)}


class Rows:
    """A matrix on disk with a row for each text; of one that was refused, a row of NaN."""

    def __init__(self, path: Path) -> None:
        try:
            self._matrix = Matrix(path)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}.") from None
        self._width = self._missing = 0

    def take(self, row: Row) -> None:
        """The next row; how wide they are is known from the first that has numbers."""
        numbers = row.made.values if row.made else None
        if numbers:
            self._width = len(numbers)
        else:
            self._missing += 1
        if self._width:
            blank = _NAN * (self._width * self._missing)
            self._matrix.add(self._width, blank + (numbers.tobytes() if numbers else b""))
            self._missing = 0

    def close(self) -> None:
        """Everything is written."""
        self._matrix.close()
