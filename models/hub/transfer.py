"""One file of the Hub into Hugging Face's cache: locked, resumed, checked, linked. Edge: network and disk.

huggingface-hub starts a broken download afresh and does not compare digests, so the transfer is ours. The lock, the
place and the result are its own: every program that reads its cache shares what we fetch.
"""

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from models.errors import DownloadError
from models.hub.explain import CutShort
from models.hub.http import LEAST, Patience, Persistence, Stopped, opened, session
from models.stores.cache import Place, size_of
from models.weights import WeightFile

RESERVE = 5 * 10**9  # bytes of the disk that stay free
PLAIN_LIMIT = 50 * 10**9  # bytes; the Hub serves larger files only through its own protocol (Xet)

_REPORT_EVERY = 0.1  # seconds between two reports of one file
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Conditions:
    """Where from, where to, and on what terms. None: what HF_ENDPOINT and HF_HUB_CACHE say.

    Bytes: `reserve` of the disk stay free, files above `plain_limit` come by the Hub's own protocol. `quiet`: seconds
    without a word that the person who waits has to bear.
    """

    endpoint: str | None = None
    cache: Path | None = None
    reserve: int = RESERVE
    parallel: int = 4
    plain_limit: int = PLAIN_LIMIT
    quiet: float = 60.0
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True)
class Moved:
    """`done` bytes of a file are there; `is_new` if the last of them came over the network just now."""

    file: WeightFile
    done: int
    is_new: bool


Tell = Callable[[Moved | str], None]  # a string is a sentence for the person who waits


class Transfer:
    """Brings one file to its place; `tell` hears how far it is, `halt` ends it with Stopped."""

    def __init__(self, file: WeightFile, place: Place, terms: Conditions, tell: Tell, halt: threading.Event) -> None:
        self._file = file
        self._place = place
        self._terms = terms
        self._tell = tell
        self._halt = halt
        self._persistence = Persistence(terms.patience, tell, halt)
        self._digest = hashlib.sha256()
        self._done = 0  # bytes in the part, all of them in the digest
        self._furthest = 0  # of `_done`, so far: a server without ranges sends it back to 0
        self._reported = 0.0

    def bring(self) -> None:
        """Fetch what is missing, check it, link it. Raises LocalrunError or OSError."""
        if not self._place.snapshot.exists():
            if self._file.sha256 is None:
                self._with_hub(cache_dir=self._terms.cache)  # a small text file: it has no digest to check
            else:
                with self._locked():
                    self._complete()
                    self._place.link()
        self._tell(Moved(self._file, self._file.bytes, is_new=False))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold huggingface-hub's lock of this file; while another program has it, follow its progress."""
        from filelock import Timeout
        from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

        self._place.lock.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            seen = -1
            while True:
                try:
                    stack.enter_context(WeakFileLock(self._place.lock, timeout=0.5))
                    break
                except Timeout:
                    self._check_halt()
                if seen < 0:
                    self._tell(f"Another program is fetching {self._file.name}; waiting for it.")
                if seen != size_of(self._place.part):
                    seen = size_of(self._place.part)
                    self._tell(Moved(self._file, seen, is_new=True))
            yield

    def _complete(self) -> None:
        """Make the blob whole: from the part that is there, the network, or both."""
        blob, part, size = self._place.blob, self._place.part, self._file.bytes
        if blob.exists() and size_of(blob) == size:
            return
        part.parent.mkdir(parents=True, exist_ok=True)
        if size > self._terms.plain_limit and size_of(part) != size:
            self._fetch_with_hub()
        try:
            self._fetch()
        except _OnlyXet:
            self._fetch_with_hub()
            self._fetch()
        self._check_digest()
        part.replace(blob)

    def _fetch(self) -> None:
        """Bring the part to full size, and to the disk."""
        with self._place.part.open("ab") as part:
            if part.tell() > self._file.bytes:
                part.truncate(0)
            self._take_in()
            self._persistence.run(lambda: self._append(part), str(self._file.repo), self._terms.endpoint)
            part.flush()
            os.fsync(part.fileno())

    def _append(self, part: BinaryIO) -> None:
        """One request for all that is missing."""
        from huggingface_hub import hf_hub_url

        file = self._file
        if self._done == file.bytes:
            return
        url = hf_hub_url(str(file.repo), file.name, revision=file.revision, endpoint=self._terms.endpoint)
        with _xet_told(), opened(url, self._done, timeout=self._terms.patience.timeout) as body:
            if body.total not in (None, file.bytes):
                raise DownloadError(
                    f"{file.name} has {body.total} bytes on the Hub, but {file.bytes} in its listing. Try again later."
                )
            if body.start != self._done:  # a server without ranges
                part.truncate(0)
                self._digest, self._done = hashlib.sha256(), 0
            for piece in body.pieces:
                self._check_halt()
                part.write(piece[: file.bytes - self._done])
                self._count(piece, is_new=True)
                if self._done >= file.bytes:
                    return
        raise CutShort(f"{self._done} of {file.bytes} bytes")

    def _take_in(self) -> None:
        """Count and digest what the part holds."""
        self._digest, self._done = hashlib.sha256(), 0
        with self._place.part.open("rb") as file:
            while piece := file.read(_PIECE):
                self._check_halt()
                self._count(piece, is_new=False)

    def _count(self, piece: bytes, *, is_new: bool) -> None:
        self._digest.update(piece)
        self._done += len(piece)
        if is_new and self._done >= self._furthest + LEAST:
            self._furthest = self._done
            self._persistence.progressed()
        now = time.monotonic()
        if now - self._reported >= _REPORT_EVERY:
            self._reported = now
            self._tell(Moved(self._file, self._done, is_new))

    def _check_halt(self) -> None:
        if self._halt.is_set():
            raise Stopped("The download was stopped; what was fetched is kept.")

    def _check_digest(self) -> None:
        """Remove a part that is not what the Hub lists, and say so."""
        if self._digest.hexdigest() != self._file.sha256:
            self._place.part.unlink()
            raise DownloadError(
                f"{self._file.name} arrived damaged: its sha256 is not the one the Hub lists. "
                "It was removed; run the command again to fetch it anew."
            )

    def _fetch_with_hub(self) -> None:
        """Through huggingface-hub, which alone speaks Xet: into a folder aside, until the digest is checked."""
        self._tell(f"{self._file.name} comes through huggingface-hub itself: if it breaks off, it starts afresh.")
        aside = self._place.part.with_suffix(".aside")
        shutil.rmtree(aside, ignore_errors=True)
        self._with_hub(local_dir=aside).replace(self._place.part)
        shutil.rmtree(aside)

    def _with_hub(self, cache_dir: Path | None = None, local_dir: Path | None = None) -> Path:
        """huggingface-hub's own download, into a cache or a plain folder; gives the file's path."""
        from huggingface_hub import hf_hub_download

        def download() -> str:
            session()
            self._done = 0
            return hf_hub_download(
                str(self._file.repo),
                self._file.name,
                revision=self._file.revision,
                endpoint=self._terms.endpoint,
                library_name="localrun",
                cache_dir=cache_dir,
                local_dir=local_dir,
                tqdm_class=_bar_class(self._wrote),
            )

        return Path(self._persistence.run(download, str(self._file.repo), self._terms.endpoint))

    def _wrote(self, count: int) -> None:
        """huggingface-hub has written so many bytes more."""
        self._check_halt()
        self._done += count
        self._tell(Moved(self._file, self._done, is_new=True))


class _Bar(AbstractContextManager["_Bar"]):
    """What huggingface-hub takes for a progress bar; it makes its own from the class it is given."""

    wrote: Callable[[int], None]

    def __init__(self, **_: object) -> None:
        self.total: int | None = None

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, n: float | None = 1) -> None:
        self.wrote(int(n or 0))

    def _ignore(self, *_: object, **__: object) -> None:
        pass

    update_transfer = set_postfix_str = set_transfer_postfix_str = refresh = close = _ignore


class _OnlyXet(DownloadError):  # noqa: N818
    """The Hub serves this file through Xet alone."""


@contextmanager
def _xet_told() -> Iterator[None]:
    """A refusal that names the file's Xet hash means that plain requests will not do."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    try:
        yield
    except HfHubHTTPError as error:
        refused = 400 <= error.response.status_code < 500 and not isinstance(error, GatedRepoError)
        if refused and "X-Xet-Hash" in error.response.headers:
            raise _OnlyXet("The Hub serves this file through Xet alone.") from error
        raise


def _bar_class(wrote: Callable[[int], None]) -> Any:
    return type("Bar", (_Bar,), {"wrote": staticmethod(wrote)})
