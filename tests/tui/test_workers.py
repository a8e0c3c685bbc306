"""Blocking work behind the screen."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from models.errors import EngineError
from tui.workers import aside, batches


async def collected(numbers: Iterator[int]) -> list[int]:
    return [number async for batch in batches(lambda: numbers, 0.001) for number in batch]


async def test_everything_comes_in_order() -> None:
    assert await collected(iter(range(10_000))) == list(range(10_000))


async def test_an_error_comes_after_what_came_before() -> None:
    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise EngineError("gone")

    seen = []
    with pytest.raises(EngineError, match="gone"):
        async for batch in batches(failing, 0.001):
            seen += batch
    assert seen == [1, 2]


async def test_leaving_closes_the_iterator() -> None:
    closed, go_on = threading.Event(), threading.Semaphore(1)

    def endless() -> Iterator[int]:
        try:
            while True:
                go_on.acquire()
                yield 1
        finally:
            closed.set()

    stream = batches(endless, 0.001)
    assert await anext(stream) == [1]
    await stream.aclose()
    go_on.release()
    assert await asyncio.get_running_loop().run_in_executor(None, closed.wait, 5)


async def test_a_slow_reader_loses_nothing_and_blocks_nobody() -> None:
    done = threading.Event()

    def quick() -> Iterator[int]:
        yield from range(1000)
        done.set()

    total = 0
    async for batch in batches(quick, 0.001):
        assert done.wait(5)  # the thread ends although nobody reads
        total += len(batch)
    assert total == 1000


async def test_aside_returns_and_raises() -> None:
    def fail() -> int:
        raise EngineError("no")

    assert await aside(lambda: 7) == 7
    with pytest.raises(EngineError, match="no"):
        await aside(fail)
