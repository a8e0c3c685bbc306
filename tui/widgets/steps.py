"""Bars for work under way: files that come in, a model that loads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from textual.content import Content

from models.weights import Progress
from runner.report.download import fraction, progress_words
from runner.report.words import one_line
from tui.widgets.drawing import Drawing, gauge, spread, styled

_ROWS = 6


@dataclass(frozen=True, slots=True)
class Step:
    """One bar: what, how far (0..1) and in words."""

    name: str
    fraction: float
    words: str


class Steps(Drawing):
    """The steps under way; when there are many, those that are not done."""

    steps: Mapping[str, Step] = MappingProxyType({})

    def show(self, *steps: Step) -> None:
        """Draw these, in place of their earlier states."""
        self.steps = {**self.steps, **{step.name: step for step in steps}}
        self.changed()

    def clear(self) -> None:
        """Draw nothing."""
        self.steps = {}
        self.changed()

    def lines(self, width: int) -> Sequence[Content]:
        """Two lines a step."""
        steps = list(self.steps.values())
        if len(steps) > _ROWS:
            steps = [step for step in steps if step.fraction < 1][:_ROWS]
        return [line for step in steps for line in _drawn(step, width)]


def _drawn(step: Step, width: int) -> list[Content]:
    head = spread(styled(step.name), styled((step.words, "$quiet")), width)
    return [head, gauge(step.fraction, width, "$accent")]


def download_step(progress: Progress) -> Step:
    """A file that comes in."""
    return Step(one_line(progress.file), fraction(progress), progress_words(progress))
