"""Weights from the Hub into Hugging Face's cache: several files at once, with progress, until all are there."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from models.errors import DownloadError
from models.hub.explain import explain
from models.hub.http import Note, Stopped
from models.hub.transfer import Conditions, Moved, Transfer
from models.stores.cache import Place, disk_free, name_main, place_of
from models.weights import Progress, WeightFile

_RATE_WINDOW = 5.0  # seconds


def fetch(
    files: Sequence[WeightFile],
    progress: Callable[[Progress], None] = lambda _: None,
    note: Note = lambda _: None,
    stop: threading.Event | None = None,
    terms: Conditions | None = None,
) -> tuple[WeightFile, ...]:
    """Bring the files that are not here; gives all of them with their paths, in order.

    `progress` and `note` are called in this thread. Setting `stop` ends it with Stopped; after that, an error or
    the end of the process, what was fetched is kept, and the next call goes on from there. Every file's revision is
    taken for what main is at. Raises DownloadError.
    """
    terms = terms or Conditions()
    places = {file: place_of(file, terms.cache) for file in files if file.path is None}
    if places:
        with _disk_in_words():
            _check_space(places, terms.reserve)
        _Crew(places, terms).work(progress, note, stop or threading.Event())
        with _disk_in_words():
            for folder, revision in {(place.folder, str(file.revision)) for file, place in places.items()}:
                name_main(folder, revision)
    return tuple(replace(file, path=file.path or places[file].snapshot) for file in files)


def _check_space(places: dict[WeightFile, Place], reserve: int) -> None:
    """Refuse before the first byte what would not leave `reserve` bytes of the disk free."""
    missing = sum(max(0, file.bytes - place.bytes) for file, place in places.items() if not place.snapshot.exists())
    free = disk_free(next(iter(places.values())).folder)
    if missing > max(0, free - reserve):
        raise DownloadError(
            f"The disk is too full: {missing / 1e9:.1f} GB to fetch, {free / 1e9:.1f} GB free, and "
            f"{reserve / 1e9:.0f} GB stay free. Make room, or point HF_HOME to another disk."
        )


@contextmanager
def _disk_in_words() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise explain(error, "the Hub") from error


class _Crew:
    """A few threads that fetch, and the queue through which they report to the one that waits.

    The threads are daemons: one that hangs in a silent connection holds up neither an interrupt nor the exit. Of each
    the last thing is what it failed of, or None.
    """

    def __init__(self, places: dict[WeightFile, Place], terms: Conditions) -> None:
        self._places = places
        self._terms = terms
        self._halt = threading.Event()
        self._left = deque(places)
        self._events: queue.SimpleQueue[Moved | str | BaseException | None] = queue.SimpleQueue()

    def work(self, progress: Callable[[Progress], None], note: Note, stop: threading.Event) -> None:
        """Run to the end, or to the first failure, which is raised."""
        running = min(self._terms.parallel, len(self._places))
        for _ in range(running):
            threading.Thread(target=self._run, daemon=True).start()
        rates = {file: _Rate() for file in self._places}
        try:
            while running:
                match self._next(note, stop):
                    case str(sentence):
                        note(sentence)
                    case Moved(file, done, is_new):
                        progress(Progress(file.name, done, file.bytes, rates[file].at(done, is_new)))
                    case None:
                        running -= 1
                    case error:
                        raise error
        finally:
            self._halt.set()

    def _next(self, note: Note, stop: threading.Event) -> Moved | str | BaseException | None:
        """The next event; says something where there is none for long."""
        quiet_since = time.monotonic()
        while True:
            if stop.is_set():
                raise Stopped("The download was stopped; what was fetched is kept.")
            try:
                return self._events.get(timeout=0.1)
            except queue.Empty:
                if time.monotonic() > quiet_since + self._terms.quiet:
                    note("Nothing has come for a minute; still waiting.")
                    quiet_since = time.monotonic()

    def _run(self) -> None:
        try:
            while not self._halt.is_set() and (file := self._take()) is not None:
                with _disk_in_words():
                    Transfer(file, self._places[file], self._terms, self._events.put, self._halt).bring()
            self._events.put(None)
        except BaseException as error:
            self._events.put(error)

    def _take(self) -> WeightFile | None:
        try:
            return self._left.popleft()
        except IndexError:
            return None


class _Rate:
    """Bytes per second over a sliding window; None while that cannot be told."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, done: int, is_new: bool) -> float | None:
        now = time.monotonic()
        if not is_new or (self._seen and done < self._seen[-1][1]):
            self._seen.clear()
        self._seen.append((now, done))
        while now - self._seen[0][0] > _RATE_WINDOW:
            self._seen.popleft()
        seconds, bytes_ = now - self._seen[0][0], done - self._seen[0][1]
        return bytes_ / seconds if seconds >= 0.5 else None
