"""One file of the Hub into Hugging Face's cache: locked, resumed, checked, linked. Edge: network and disk.

huggingface-hub starts a broken download afresh and does not compare digests, so the transfer is ours. The lock, the
place and the result are its own: every program that reads its cache shares what we fetch.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

from models.cache import Place, size_of
from models.errors import DownloadError
from models.explain import CutShort
from models.http import Patience, Persistence, Stopped, file_url, opened
from models.weights import WeightFile

RESERVE = 5 * 10**9  # bytes of the disk that stay free
PLAIN_LIMIT = 50 * 10**9  # bytes; the Hub serves larger files only through its own protocol (Xet)

_REPORT_EVERY = 0.1  # seconds between two reports of one file
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Terms:
    """Where from, where to, and on what terms. None: what HF_ENDPOINT and HF_HUB_CACHE say."""

    endpoint: str | None = None
    cache: Path | None = None
    reserve: int = RESERVE
    parallel: int = 4
    plain_limit: int = PLAIN_LIMIT
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

    def __init__(self, file: WeightFile, place: Place, terms: Terms, tell: Tell, halt: threading.Event) -> None:
        self._file = file
        self._place = place
        self._terms = terms
        self._tell = tell
        self._halt = halt
        self._persistence = Persistence(terms.patience, tell, halt)
        self._digest = hashlib.sha256()
        self._done = 0  # bytes in the part, all of them in the digest
        self._furthest = 0
        self._reported = 0.0

    def bring(self) -> None:
        """Fetch what is missing, check it, link it. Raises LocalrunError or OSError."""
        if self._place.snapshot.exists():
            self._done = self._file.bytes
        elif self._file.sha256 is None or self._file.bytes > self._terms.plain_limit:
            self._fetch_with_hub()
        else:
            with self._locked():
                if not self._place.blob.exists() or size_of(self._place.blob) != self._file.bytes:
                    self._fetch()
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

    def _fetch(self) -> None:
        self._place.part.parent.mkdir(parents=True, exist_ok=True)
        with self._place.part.open("ab") as part:
            if part.tell() > self._file.bytes:
                part.truncate(0)
            self._take_in(self._place.part)
            self._furthest = self._done
            self._persistence.run(lambda: self._append(part), str(self._file.repo), self._terms.endpoint)
            part.flush()
            os.fsync(part.fileno())
        self._check_digest(self._place.part)
        self._place.part.replace(self._place.blob)

    def _append(self, part: BinaryIO) -> None:
        """One request for all that is missing."""
        file = self._file
        if self._done == file.bytes:
            return
        url = file_url(str(file.repo), file.name, str(file.revision), self._terms.endpoint)
        with opened(url, self._done, timeout=self._terms.patience.timeout) as body:
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

    def _take_in(self, path: Path) -> None:
        """Count and digest what a file holds."""
        self._digest, self._done = hashlib.sha256(), 0
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                self._check_halt()
                self._count(piece, is_new=False)

    def _count(self, piece: bytes, *, is_new: bool) -> None:
        self._digest.update(piece)
        self._done += len(piece)
        if is_new and self._done > self._furthest:
            self._furthest = self._done
            self._persistence.progressed()
        now = time.monotonic()
        if now - self._reported >= _REPORT_EVERY:
            self._reported = now
            self._tell(Moved(self._file, self._done, is_new))

    def _check_halt(self) -> None:
        if self._halt.is_set():
            raise Stopped("The download was stopped; what was fetched is kept.")

    def _check_digest(self, path: Path) -> None:
        """Remove a file that is not what the Hub lists, and say so."""
        if self._file.sha256 in (None, self._digest.hexdigest()):
            return
        path.resolve().unlink()
        path.unlink(missing_ok=True)  # where it was a link
        raise DownloadError(
            f"{self._file.name} arrived damaged: its sha256 is not the one the Hub lists. "
            "It was removed; run the command again to fetch it anew."
        )

    def _fetch_with_hub(self) -> None:
        """Through huggingface-hub, for what only Xet carries: no resuming there; the digest is checked afterwards."""
        from huggingface_hub import hf_hub_download

        file = self._file
        self._tell(f"{file.name} comes through huggingface-hub itself: if it breaks off, it starts afresh.")

        def download() -> str:
            self._done = 0
            return hf_hub_download(
                str(file.repo),
                file.name,
                revision=file.revision,
                cache_dir=self._terms.cache,
                endpoint=self._terms.endpoint,
                library_name="localrun",
                tqdm_class=_bar_class(self._wrote),
            )

        path = Path(self._persistence.run(download, str(file.repo), self._terms.endpoint))
        if file.sha256 is not None:
            self._take_in(path)
            self._check_digest(path)

    def _wrote(self, count: int) -> None:
        """huggingface-hub has written so many bytes more."""
        self._check_halt()
        self._done += count
        self._tell(Moved(self._file, self._done, is_new=True))


class _Bar:
    """What huggingface-hub takes for a progress bar; it makes its own from the class it is given."""

    wrote: Callable[[int], None]

    def __init__(self, **_: object) -> None:
        self.total: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, n: float | None = 1) -> None:
        self.wrote(int(n or 0))

    def _ignore(self, *_: object, **__: object) -> None:
        pass

    update_transfer = set_postfix_str = set_transfer_postfix_str = refresh = close = _ignore


def _bar_class(wrote: Callable[[int], None]) -> Any:
    return type("Bar", (_Bar,), {"wrote": staticmethod(wrote)})
