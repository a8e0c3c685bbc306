"""A download as a front end drives it: progress to iterate over, and how long the next one will take."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from models.errors import LocalrunError
from models.hub.fetch import fetch
from models.weights import Progress, WeightFile
from runner.storage.rates import download_rate, keep_download_rate

_SURE_BYTES = 16_000_000  # a shorter transfer says little about a rate

Bring = Callable[..., tuple[WeightFile, ...]]


def download(
    files: Sequence[WeightFile], rates: Path, note: Callable[[str], None], bring: Bring = fetch
) -> Generator[Progress, None, tuple[WeightFile, ...]]:
    """Bring what is missing; returns all files with their paths. Closing the generator stops it, and what came is kept.

    The rate is remembered in the file `rates`. Raises DownloadError.
    """
    told: queue.SimpleQueue[Progress | LocalrunError | tuple[WeightFile, ...]] = queue.SimpleQueue()
    stop = threading.Event()

    def work() -> None:
        try:
            told.put(bring(files, told.put, note, stop))
        except LocalrunError as error:
            told.put(error)

    worker = threading.Thread(target=work, daemon=True)
    started = time.monotonic()
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    worker.start()
    try:
        while isinstance(item := told.get(), Progress):
            first.setdefault(item.file, item.done)
            last[item.file] = item.done
            yield item
    finally:
        stop.set()
        worker.join()
        _remember(rates, sum(last.values()) - sum(first.values()), time.monotonic() - started)
    if isinstance(item, LocalrunError):
        raise item
    return item


def _remember(rates: Path, size: int, seconds: float) -> None:
    if size >= _SURE_BYTES and seconds > 0:
        keep_download_rate(rates, size / seconds)


def seconds_for(size: int, rates: Path) -> float | None:
    """How long `size` bytes would take at the rate of the last download; None if there was none."""
    rate = download_rate(rates)
    return size / rate if rate else None
