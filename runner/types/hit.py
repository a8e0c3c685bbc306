"""A repository that a search on the Hub gave, judged for this machine. Pure data."""

from dataclasses import dataclass

from runner.types.plan import Plan


@dataclass(frozen=True, slots=True)
class Hit:
    """`plan` is None where its headers could not be read, or it answers no prompts: `problem` says why."""

    repo: str
    downloads: int
    plan: Plan | None = None
    problem: str = ""
