"""`/v1/completions`: a text that is gone on with as it is, or whose gap is filled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runner.api.asked import Asked, Piece
from runner.api.desk import Desk
from runner.api.errors import invalid
from runner.api.fields import Fields
from runner.api.openai import settings
from runner.api.openai.envelope import EventWriter, Head, Json, read_streaming
from runner.api.openai.usage import finish_of, usage_json
from runner.types.generation import Gap, Marked, TokenLogprobs

_NAME = "text_completion"


async def complete(desk: Desk, request: Request) -> Response:
    """What comes next, whole or in pieces."""
    fields = Fields(await desk.read(request))
    is_streamed, with_usage = read_streaming(fields)
    echoes = fields.flag("echo")
    asked = read_completion(fields, desk)
    before = _said(asked) if echoes else ""
    if is_streamed:
        return await desk.stream(asked, TextWriter(asked, before, with_usage), request.receive)
    answers = await desk.whole(asked, request.receive)
    choices = [
        {
            "index": index,
            "text": before + one.text,
            "logprobs": _logprobs(one.logprobs, len(before)) if asked.sampling.logprobs is not None else None,
            "finish_reason": finish_of(one.last),
        }
        for index, one in enumerate(answers)
    ]
    usage = usage_json(one.last for one in answers)
    return JSONResponse({**Head(asked.model, "cmpl").json(_NAME), "choices": choices, "usage": usage})


def read_completion(fields: Fields, desk: Desk) -> Asked:
    """The request; what is not understood or cannot be honoured is refused by its name."""
    sampling = settings.read_settings(fields, desk.sampling)
    sampling = settings.read_limit(fields, sampling, "max_tokens")
    top = fields.whole("logprobs", 0, 20)
    asked = Asked(
        model=fields.text("model") or desk.pool.names.default,
        raw=_raw(fields),
        sampling=sampling if top is None else replace(sampling, logprobs=top),
        constraint=settings.read_constraint(fields, desk.limits.schema),
        count=fields.whole("n", 1, desk.limits.answers) or 1,
    )
    fields.only("best_of", asked.count)
    fields.done()
    return asked


def _said(asked: Asked) -> str:
    """What goes before the answer."""
    match asked.raw:
        case Gap(before=text) | Marked(text):
            return text
        case None:
            return ""


def _raw(fields: Fields) -> Marked | Gap:
    prompt, suffix = fields.take("prompt"), fields.text("suffix")
    if isinstance(prompt, list) and len(prompt) == 1:
        (prompt,) = prompt
    if not isinstance(prompt, str):
        raise invalid("prompt", "it is one text; lists of texts and of tokens are not taken.")
    return Marked(prompt) if suffix is None else Gap(prompt, suffix)


class TextWriter(EventWriter):
    """Events of `text_completion`; `before` is said before the answer."""

    def __init__(self, asked: Asked, before: str, with_usage: bool) -> None:
        super().__init__(Head(asked.model, "cmpl").json(_NAME), with_usage)
        self._before, self._wants_logprobs = before, asked.sampling.logprobs is not None
        self._letters: dict[int, int] = {}

    def piece(self, piece: Piece) -> Iterable[bytes]:
        """What is new."""
        chunk = piece.chunk
        if not (chunk.text or chunk.logprobs or chunk.finish):
            return
        text = chunk.text if piece.index in self._last else self._before + chunk.text
        self._last[piece.index] = chunk
        offset = self._letters.get(piece.index, len(self._before))
        self._letters[piece.index] = offset + len(chunk.text)
        logprobs = _logprobs(chunk.logprobs, offset) if self._wants_logprobs else None
        choice = {"index": piece.index, "text": text, "logprobs": logprobs, "finish_reason": finish_of(chunk)}
        yield self._event(choice)


def _logprobs(found: Sequence[TokenLogprobs], offset: int) -> Json:
    """As the older interface has them: lists side by side; `text_offset` in letters."""
    offsets = []
    for one in found:
        offsets.append(offset)
        offset += len(one.drawn.token)
    return {
        "tokens": [one.drawn.token for one in found],
        "token_logprobs": [one.drawn.logprob for one in found],
        "top_logprobs": [{other.token: other.logprob for other in one.top} for one in found],
        "text_offset": offsets,
    }
