"""What files take of a context, in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from runner.report.words import one_line, plural
from runner.types.attachment import Attachment, with_files
from runner.types.conversation import Conversation
from runner.types.generation import Message

if TYPE_CHECKING:  # it is heavy, and an answer needs no more of it than its name
    from runner.types.service import Session


def weighed(session: Session, conversation: Conversation, files: Sequence[Attachment]) -> str:
    """The tokens of each file, and whether they fit behind the conversation. Asks the engine."""
    before = conversation.messages
    sizes = [session.count_tokens((*before, Message("user", file.inlined))) for file in files]
    whole = session.count_tokens((*before, Message("user", with_files("", files))))
    empty = session.count_tokens((*before, Message("user", "")))
    each = [
        f"{one_line(file.name, 40)}: {plural(size - empty, 'token')}" for file, size in zip(files, sizes, strict=True)
    ]
    ctx = session.loaded.ctx
    fits = "fits" if whole < ctx else f"does not fit: {plural(whole - ctx, 'token')} too many"
    return " · ".join((*each, f"with that {whole:,} of {ctx:,}: it {fits}"))
