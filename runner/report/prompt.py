"""How many tokens the files of a prompt have, and why it is refused. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from runner.report.words import one_line, plural
from runner.types.room import more_context


@dataclass(frozen=True, slots=True)
class FileSize:
    """How many tokens a file takes of the context; only `about` so many where it is far too long to be read."""

    name: str
    tokens: int
    about: bool = False


def file_size_line(size: FileSize) -> str:
    """One file."""
    return f"{one_line(size.name)}: {'about ' if size.about else ''}{plural(size.tokens, 'token')}"


def too_long(sizes: Sequence[FileSize], needed: int, ctx: int, trained: int) -> str:
    """Why a prompt of `needed` tokens, these files among them, is refused, and what would help."""
    about = "about " if any(size.about for size in sizes) else ""
    longer = more_context(needed, ctx, trained)
    help = f"--ctx {longer} would hold it" if longer else f"the model was trained for {trained:,}"
    named = ", ".join(f"{one_line(size.name)} {size.tokens:,}" for size in sizes)
    files = f" ({named})" if named else ""
    return (
        f"The prompt has {about}{plural(needed, 'token')}{files}, and the answer needs room too; "
        f"the context holds {ctx:,}, and {help}."
    )
