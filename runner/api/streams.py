"""Answers as they grow, to clients that may be slow, or go away: then the answer ends, too."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Coroutine, Iterable
from contextlib import aclosing, suppress
from typing import Any, Protocol, TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from models.errors import LocalrunError
from models.visible import one_line
from runner.api.asked import Loading, Piece, Step
from runner.api.errors import Failure, failure_of
from runner.report.serving import loading_words, waiting_words

T = TypeVar("T")
_COMMENT_S = 1.0  # proxies give up connections that say nothing
EVENTS = "text/event-stream"


class Writer(Protocol):
    """What a dialect makes of the steps of one request, as bytes to send."""

    media_type: str

    def piece(self, piece: Piece) -> Iterable[bytes]:
        """A step of an answer."""

    def end(self) -> Iterable[bytes]:
        """All answers have ended."""

    def failed(self, failure: Failure) -> Iterable[bytes]:
        """There is no more to come."""


def event(data: Any, name: str | None = None) -> bytes:
    """A server-sent event; `data` is what becomes JSON, or a text as it is."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {text}\n\n".encode("utf-8", "replace")


class EventStream(Response):
    """Steps, the first of which has come already, as a writer writes them.

    While nothing is said yet an event stream gets comments, which clients pass over. A client that takes nothing for
    `patience` seconds is given up.
    """

    def __init__(self, first: Step, steps: AsyncGenerator[Step, None], writer: Writer, patience: float) -> None:
        super().__init__(media_type=writer.media_type, headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._first, self._steps, self._writer, self._patience = first, steps, writer, patience
        self._commented = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of it."""
        with suppress(ClientDisconnect):
            await unless_gone(receive, self._send_all(send))

    async def _send_all(self, send: Send) -> None:
        async with aclosing(self._steps) as steps:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await self._send(send, self._said(self._first))
            try:
                async for step in steps:
                    await self._send(send, self._said(step))
                last = self._writer.end()
            except LocalrunError as error:
                last = self._writer.failed(failure_of(error))
            await self._send(send, last)
            await send({"type": "http.response.body", "body": b""})

    async def _send(self, send: Send, said: Iterable[bytes]) -> None:
        if body := b"".join(said):
            async with asyncio.timeout(self._patience):
                await send({"type": "http.response.body", "body": body, "more_body": True})

    def _said(self, step: Step) -> Iterable[bytes]:
        said = () if isinstance(step, Loading) else tuple(self._writer.piece(step))
        return said or self._comment(step)

    def _comment(self, step: Step) -> Iterable[bytes]:
        now = time.monotonic()
        if self._writer.media_type == EVENTS and now >= self._commented + _COMMENT_S and (words := _progress(step)):
            self._commented = now
            yield f": {words}\n\n".encode()


def _progress(step: Step) -> str:
    """On one line, whatever a model is called."""
    if isinstance(step, Loading):
        return one_line(loading_words(step.model, step.fraction))
    return one_line(step.chunk.happened or waiting_words(step.chunk))


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """What comes of some work, which is cancelled as soon as the client goes away: ClientDisconnect."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.wait((working, leaving))


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
