"""Talking to the Hub: open a range of a file, and try again with an end to it. Edge: huggingface_hub's session.

huggingface-hub brings the session, the token and the typed errors. Left to itself it waits without limit for a
`Retry-After`, gives up where a connection breaks off, and knows no time limit for silence; patience is ours.
"""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from models.errors import DownloadError, LocalrunError
from models.hub.explain import explain, is_transient, wait_asked

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
Note = Callable[[str], None]  # takes a sentence for the person who waits


class Stopped(DownloadError):  # noqa: N818
    """Whoever ordered the transfer called it off."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on: `tries` requests without a byte of progress, waits between them, silence within one.

    Seconds: the first wait is `first_wait`, each next one twice as long, all with jitter and none above
    `longest_wait`, which also bounds what a server asks for. `timeout` is how long nothing may arrive.
    """

    tries: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    timeout: float = 20.0


@dataclass(frozen=True, slots=True)
class Body:
    """An open answer: bytes from offset `start` of a file of `total` bytes (None: not said), in pieces.

    A server that does not know ranges starts at 0 whatever was asked.
    """

    start: int
    total: int | None
    pieces: Iterator[bytes]


@contextmanager
def opened(url: str, start: int = 0, stop: int | None = None, *, timeout: float = 20.0) -> Iterator[Body]:
    """GET the bytes from `start` to before `stop` (None: the end) and give them as they come, unread.

    Leaving the block closes the connection if bytes are left. Raises what `explain` understands, and
    DownloadError for an answer that is not what was asked for.
    """
    from huggingface_hub import get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

    headers = build_hf_headers(library_name="localrun") | {"Accept-Encoding": "identity"}
    if start or stop is not None:
        headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
    with get_session().stream("GET", url, headers=headers, timeout=timeout) as response:
        if response.is_error:
            response.close()  # the error page stays unread: it may have no end
        hf_raise_for_status(response)
        yield _body(response, start)


def _body(response: "httpx2.Response", asked: int) -> Body:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise DownloadError(f"{response.url.host} sends the file compressed, which was not asked for.")
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
        return Body(0, int(length) if length.isdecimal() else None, response.iter_raw())
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    span, _, total = rest.partition("/")
    if response.status_code != 206 or unit != "bytes" or span.partition("-")[0] != str(asked):
        raise DownloadError(f"{response.url.host} did not send the part of the file that was asked for.")
    return Body(asked, int(total) if total.isdecimal() else None, response.iter_raw())


class Persistence:
    """Tries again what may work the next time, within a Patience, and says so while it waits.

    `progressed()` starts the count afresh: a transfer that advances may break off any number of times.
    `stop` ends a wait at once, with Stopped.
    """

    def __init__(self, patience: Patience, note: Note | None = None, stop: threading.Event | None = None) -> None:
        self._patience = patience
        self._note = note or (lambda _: None)
        self._stop = stop or threading.Event()
        self._failures = 0

    def progressed(self) -> None:
        """Bytes came: failures before this do not count any more."""
        self._failures = 0

    def run(self, action: Callable[[], T], repo: str, endpoint: str | None = None) -> T:
        """The value of `action()`, or its last failure as a LocalrunError that names `repo`."""
        while True:
            try:
                return action()
            except LocalrunError:
                raise
            except Exception as error:
                self._failures += 1
                explained = explain(error, repo, endpoint)
                if self._failures >= self._patience.tries or not is_transient(error):
                    raise explained from error
                self._wait(wait_asked(error), explained)

    def _wait(self, asked: float | None, problem: LocalrunError) -> None:
        grown = self._patience.first_wait * 2 ** (self._failures - 1) * random.uniform(0.75, 1.25)
        seconds = min(max(grown, asked or 0.0), self._patience.longest_wait)
        happened = str(problem).partition(". ")[0]
        self._note(f"{happened}; trying again in {seconds:.0f} s.")
        if self._stop.wait(seconds):
            raise Stopped("The download was stopped.")
