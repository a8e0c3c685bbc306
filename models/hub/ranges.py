"""Byte ranges of files on the Hub, with an account of what they cost. Safe to use from several threads."""

import threading
from dataclasses import replace

from models.errors import BadFile, LocalrunError
from models.hub.explain import is_transient
from models.hub.http import Note, Patience, Persistence, Stopped, opened
from models.weights import WeightFile

PATIENCE = Patience(tries=4, first_wait=0.3, longest_wait=30.0, timeout=10.0)


class Ranges:
    """Reads ranges; `fetched` counts bytes of bodies as they came.

    Once a file has used up its tries, the others get one each: a server that is down is not begged for every file.
    """

    def __init__(self, endpoint: str | None = None, patience: Patience = PATIENCE, note: Note | None = None) -> None:
        self.fetched = 0
        self._endpoint = endpoint
        self._note = note
        self._patience = patience
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Make every read end soon, with Stopped."""
        self._stopped.set()

    def read(self, file: WeightFile, start: int, end: int) -> bytes:
        """The bytes [start, end) of the file, or a shorter piece from `start` on; never empty.

        Raises BadFile where the file is not the one that was listed, DownloadError for everything else.
        """
        assert file.repo is not None
        persistence = Persistence(self._patience, self._note, self._stopped)
        try:
            return persistence.run(lambda: self._read_once(file, start, end), file.repo, self._endpoint)
        except LocalrunError as error:
            if error.__cause__ is not None and is_transient(error.__cause__):
                self._patience = replace(self._patience, tries=1)
            raise

    def _read_once(self, file: WeightFile, start: int, end: int) -> bytes:
        from huggingface_hub import hf_hub_url

        url = hf_hub_url(file.repo or "", file.name, revision=file.revision, endpoint=self._endpoint)
        with opened(url, start, end, timeout=self._patience.timeout) as body:
            if body.total is not None and body.total != file.bytes:
                raise BadFile(f"the Hub lists {file.bytes} bytes, but serves {body.total}")
            data = bytearray()
            for piece in body.pieces:
                with self._lock:
                    self.fetched += len(piece)
                data += piece
                if self._stopped.is_set():
                    raise Stopped("Reading was stopped.")
                if body.start + len(data) > end:
                    break  # a server without ranges would send the whole file
        piece = bytes(data[start - body.start : end - body.start])
        if not piece:
            raise BadFile(f"the file ends before byte {start}")
        return piece
