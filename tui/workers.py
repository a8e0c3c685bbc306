"""Blocking work, seen from the screen: iterators and calls run in threads that never wait for it."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")
INTERVAL = 0.05
# The screen may take this share of a core from the model; it then draws less often, but at least twice a second.
SHARE = 0.08
SLOWEST = 0.5


async def aside(call: Callable[[], T]) -> T:
    """The result of a blocking call, made in a thread that does not hold up the end of the program."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # who waits may give up; the call goes on

    def run() -> None:
        try:
            result = call()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(future)


async def batches(make: Callable[[], Iterator[T]], interval: float = INTERVAL) -> AsyncGenerator[list[T], None]:
    """What a blocking iterator yields, as lists of everything new, at most one list per `interval` seconds.

    Where drawing a list costs more than `SHARE` of the interval, the next one comes later. The thread only
    appends to a queue; its end is told at once. An error it meets is raised here after all that came before it.
    Leaving early closes the iterator after its next item.
    """
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    queue: deque[T] = deque()
    left = threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            _gather(make(), queue, left)
        except BaseException as error:
            errors.append(error)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(ended.set)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        alive, spent = True, time.thread_time()
        while alive:
            cost, spent = time.thread_time() - spent, time.thread_time()
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), max(interval, min(SLOWEST, cost / SHARE)))
            alive = not ended.is_set()
            if new := [queue.popleft() for _ in range(len(queue))]:
                yield new
    finally:
        left.set()
    if errors:
        raise errors[0]


def _gather(items: Iterator[T], queue: deque[T], left: threading.Event) -> None:
    """Everything there is, until nobody reads any more; then the iterator is closed."""
    for item in items:
        queue.append(item)
        if left.is_set():
            break
    close = getattr(items, "close", None)
    if close is not None:
        close()
