"""How far a batch is, in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runner.report.words import plural, rate, seconds


@dataclass(frozen=True, slots=True)
class Pace:
    """`before` of `count` prompts were done at `began` (s), `fresh` ones with `tokens` since then, up to `now`."""

    count: int
    before: int
    began: float
    fresh: int = 0
    tokens: int = 0
    now: float = 0.0

    @property
    def done(self) -> int:
        """Prompts that need not be asked."""
        return self.before + self.fresh

    def after(self, tokens: int, now: float) -> Pace:
        """One more prompt, answered with so many tokens."""
        return replace(self, fresh=self.fresh + 1, tokens=self.tokens + tokens, now=now)


def progress_line(pace: Pace) -> str:
    """Prompts, the speed of all together, and the time left if the others take as long."""
    took, left = pace.now - pace.began, pace.count - pace.done
    facts = [f"{pace.done} of {plural(pace.count, 'prompt')}"]
    if took > 0:
        facts.append(rate(pace.tokens / took))
    if left and pace.fresh:
        facts.append(f"{seconds(took / pace.fresh * left)} left")
    return " · ".join(facts)
