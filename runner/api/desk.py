"""Where dialects hand in requests and take steps of answers: the asynchronous side of the threads that work on them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from itertools import count
from typing import Any

from starlette.requests import Request
from starlette.types import Receive

from models.errors import LocalrunError
from runner.api.answering import Answering
from runner.api.asked import Asked, Piece, Step, Terms, Texts, Whole
from runner.api.errors import Kind, Refused
from runner.api.held import prompt_tokens
from runner.api.limits import Limits
from runner.api.metrics import Metrics
from runner.api.pool import Pool
from runner.api.remembered import Remembered
from runner.api.streams import EventStream, Writer, unless_gone
from runner.api.vectors import vectors
from runner.types.sampling import Sampling
from runner.types.vectors import Made


class Desk:
    """`sampling` holds for all requests that do not say otherwise."""

    def __init__(self, pool: Pool, sampling: Sampling, limits: Limits) -> None:
        self.pool, self.sampling, self.limits = pool, sampling, limits
        self.metrics = Metrics()
        self.memory = Remembered(limits.kept, limits.kept_letters)
        self._under_way: set[Answering] = set()
        self._numbers = count(1)

    async def steps(self, asked: Asked) -> AsyncGenerator[Step, None]:
        """The steps of all its answers, as they come; closing it stops them. Raises LocalrunError.

        An answer is bounded by the model's context, so that what waits for a slow reader is bounded, too.
        """
        if len(self._under_way) >= self.limits.at_once:
            raise Refused(Kind.BUSY, f"{self.limits.at_once} requests are under way; ask again when some have ended.")
        steps: asyncio.Queue[Step | LocalrunError | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def put(step: Step | LocalrunError | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(steps.put_nowait, step)

        answering, number, why = Answering(self.pool, asked, put), next(self._numbers), "left"
        self._under_way.add(answering)
        try:
            while (step := await steps.get()) is not None:
                if isinstance(step, LocalrunError):
                    why = "error"
                    raise step
                if isinstance(step, Piece):
                    self.metrics.of(answering.model).heard(number, step)
                yield step
        finally:
            answering.stop()
            if answering.model:
                self.metrics.of(answering.model).left(number, why)
            self._under_way.discard(answering)

    async def stream(self, asked: Asked, writer: Writer, receive: Receive) -> EventStream:
        """All steps as a response; what is wrong before the first is raised, and nothing is answered yet."""
        steps = self.steps(asked)
        first = await unless_gone(receive, anext(steps))
        return EventStream(first, steps, writer, self.limits.reader_s)

    async def whole(self, asked: Asked, receive: Receive) -> list[Whole]:
        """All answers to a request once they are there; stopped where the client goes away."""
        return await unless_gone(receive, self._gathered(replace(asked, is_watched=False)))

    async def _gathered(self, asked: Asked) -> list[Whole]:
        answers = [Whole() for _ in range(asked.count)]
        async with aclosing(self.steps(asked)) as steps:
            async for step in steps:
                if isinstance(step, Piece):
                    answers[step.index] = answers[step.index].with_chunk(step.chunk)
        return answers

    async def vectors(self, asked: Texts, receive: Receive) -> list[Made]:
        """A vector for each text; not all are made where the client goes away."""
        left = threading.Event()
        try:
            made = asyncio.to_thread(vectors, self.pool, asked, lambda: not left.is_set())
            return await unless_gone(receive, made)
        finally:
            left.set()

    async def prompt_tokens(self, asked: Asked, receive: Receive) -> int:
        """How long a prompt is."""
        return await unless_gone(receive, asyncio.to_thread(prompt_tokens, self.pool, asked))

    async def load(self, model: str, terms: Terms, receive: Receive) -> None:
        """Nothing is asked of a model but that it is there. As `Pool.lease`."""

        def load() -> None:
            with self.pool.lease(model) as resident:
                resident.meets(terms)

        await unless_gone(receive, asyncio.to_thread(load))

    async def read(self, request: Request) -> Any:
        """The JSON of a request. Refused where it is none, too large, or too slow."""
        try:
            async with asyncio.timeout(self.limits.body_s):
                body = await self._body(request)
        except TimeoutError:
            raise Refused(Kind.TOO_SLOW, f"The body did not come in {self.limits.body_s:g} s.") from None
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Refused(Kind.INVALID, f"The body is no JSON: {error}.") from None

    async def _body(self, request: Request) -> bytes:
        most, body = self.limits.body, bytearray()
        async for part in request.stream():
            body += part
            if len(body) > most:
                raise Refused(Kind.TOO_LARGE, f"The body has more than {most} bytes.")
        return bytes(body)

    def stop(self) -> None:
        """End everything that is under way."""
        for answering in tuple(self._under_way):
            answering.stop()
