"""The threads of a batch: each asks a line and then the next one, until none is left."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from runner.cli.batch_lines import BatchLine
from runner.cli.turn import Outcome, gathered
from runner.types.generation import Chunk

if TYPE_CHECKING:
    from runner.types.service import Session

Heard = Chunk | tuple[BatchLine, Outcome]


class Workers:
    """Ask `lines` of a session, so many at once. `stop` and `close` end what is under way and ask no more."""

    def __init__(self, session: Session, lines: Sequence[BatchLine], at_once: int) -> None:
        self._session, self._left = session, deque(lines)
        self._said: queue.SimpleQueue[Heard | BaseException | None] = queue.SimpleQueue()
        self.is_stopped = False
        count = min(at_once, len(lines))
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def heard(self) -> Iterator[Heard]:
        """Each line with its answer, as they end, and before it the chunks that say what befell it on the way."""
        working = len(self._threads)
        while working:
            said = self._said.get()
            if isinstance(said, BaseException):
                raise said
            if said is None:
                working -= 1
            else:
                yield said

    def stop(self) -> None:
        """Also for a signal's handler."""
        self.is_stopped = True
        self._session.stop()

    def close(self) -> None:
        """Nobody hears any more."""
        if any(thread.is_alive() for thread in self._threads):
            self.stop()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        try:
            while self._left and not self.is_stopped:
                try:
                    line = self._left.popleft()
                except IndexError:  # another one was quicker
                    break
                self._said.put((line, self._answered(line)))
        except BaseException as error:
            self._said.put(error)
        finally:
            self._said.put(None)

    def _answered(self, line: BatchLine) -> Outcome:
        chunks = self._session.generate(line.messages, line.sampling, continue_last=True, is_watched=False)
        return gathered(chunks, line.sampling, self._show)

    def _show(self, chunk: Chunk) -> None:
        if self.is_stopped:  # maybe before this answer had begun
            self._session.stop()
        if chunk.notes or chunk.happened:
            self._said.put(replace(chunk, prompt_tokens=0))  # several prompts at once are no one line of progress
