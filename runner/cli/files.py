"""What files take of the context, and whether it holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from models.errors import PromptTooLong
from runner.cli.kept_turns import KeptTurns
from runner.cli.output import Output
from runner.cli.prompt import Prompt
from runner.report.prompt import FileSize, file_size_line, too_long
from runner.types.attachment import Attachment
from runner.types.generation import Message
from runner.types.room import room_for_answer
from runner.types.sampling import Sampling

if TYPE_CHECKING:
    from runner.types.service import Answering


def tell_sizes(session: Answering, files: Sequence[Attachment], output: Output) -> list[FileSize]:
    """Count each, and say so."""
    sizes = [_size(session, file) for file in files]
    for size in sizes:
        output.note(file_size_line(size))
    return sizes


def _size(session: Answering, file: Attachment) -> FileSize:
    """Its tokens; of one that is far too long, after those of its beginning."""
    try:
        return FileSize(file.name, session.count_text(file.inlined))
    except PromptTooLong:
        begin = file.text[: session.loaded.ctx]
        return FileSize(file.name, session.count_text(begin) * len(file.text) // len(begin), about=True)


def check_room(turns: KeptTurns, prompt: Prompt, sampling: Sampling, sizes: Sequence[FileSize]) -> None:
    """PromptTooLong, in numbers, where the context does not hold all that was said and an answer."""
    session = turns.session
    messages = [*turns.log.conversation.messages, Message("user", prompt.text)]
    is_hopeless = any(size.about for size in sizes)
    needed = sum(size.tokens for size in sizes) if is_hopeless else session.count_tokens(messages)
    ctx, trained = session.loaded.ctx, session.plan.model.context_trained
    if needed > ctx - room_for_answer(sampling, ctx):
        raise PromptTooLong(too_long(sizes, needed, ctx, trained))
