"""Talking to the Hub: open a range of a file, and try again with an end to it. Edge: huggingface_hub's session.

huggingface-hub brings the session, the token and the typed errors. Left to itself it waits without limit for a
`Retry-After`, gives up where a connection breaks off, and knows no time limit for silence; patience is ours.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from models.errors import DownloadError, LocalrunError
from models.hub.environment import check_environment
from models.hub.explain import explain, is_transient, said, wait_asked

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
LEAST = 1024  # bytes: fewer in the time that silence may last are as good as silence
_TIMES_SILENCE = 3  # within which an answer's first line and headers, or a listing, have to be whole
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
    check_environment()
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

    headers = build_hf_headers(library_name="localrun") | {"Accept-Encoding": "identity"}
    if start or stop is not None:
        headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
    with ExitStack() as stack:
        stream = session().stream("GET", url, headers=headers, timeout=timeout)
        response = within(timeout, lambda: stack.enter_context(stream))
        if response.is_error:
            response.close()  # the error page stays unread: it may have no end
        hf_raise_for_status(response)
        yield _body(response, start, timeout)


def session() -> "httpx2.Client":
    """huggingface-hub's client. DownloadError where what the environment says of proxies or certificates is no use."""
    from huggingface_hub import get_session

    try:
        return get_session()
    except OSError as error:
        raise DownloadError(f"The certificates cannot be read ({said(error)}). Check SSL_CERT_FILE.") from error
    except Exception as error:  # httpx2.InvalidURL is nothing else
        raise DownloadError(f"A proxy cannot be used: {said(error)}. Check HTTPS_PROXY and ALL_PROXY.") from error


def within(silence: float, ask: Callable[[], T]) -> T:
    """`ask()`, or a ReadTimeout where a server keeps it waiting for much longer than it may be silent.

    No timeout of the client's own sees a server that sends a byte now and then.
    """
    import httpx2

    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(ask())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_TIMES_SILENCE * silence)
    if failures:
        raise failures[0]
    if not results:
        raise httpx2.ReadTimeout("too slow")
    return results[0]


def _flowing(pieces: Iterator[bytes], silence: float) -> Iterator[bytes]:
    """The same pieces; a ReadTimeout where they are as good as none."""
    import httpx2

    since, came = time.monotonic(), 0
    for piece in pieces:
        came += len(piece)
        yield piece
        if (now := time.monotonic()) - since > silence:
            if came < LEAST:
                raise httpx2.ReadTimeout("too slow")
            since, came = now, 0


def _body(response: "httpx2.Response", asked: int, silence: float) -> Body:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise DownloadError(f"{response.url.host} sends the file compressed, which was not asked for.")
    pieces = _flowing(response.iter_raw(), silence)
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
        return Body(0, int(length) if length.isdecimal() else None, pieces)
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    span, _, total = rest.partition("/")
    if response.status_code != 206 or unit != "bytes" or span.partition("-")[0] != str(asked):
        raise DownloadError(f"{response.url.host} did not send the part of the file that was asked for.")
    return Body(asked, int(total) if total.isdecimal() else None, pieces)


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
