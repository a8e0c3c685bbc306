"""An answer under way, in the hands of whoever asked for it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from runner.client.process import EngineProcess
from runner.types.commands import Generate
from runner.types.generation import Chunk


@dataclass(slots=True, eq=False)
class UnderWay:
    """What an engine works on for an answer, whether that was stopped, and whether others went on beside it."""

    command: Generate | None = None
    is_stopped: bool = False
    has_company: bool = False


class Answer:
    """The chunks of an answer, for one thread at a time. Closing it, or dropping it, ends the answer."""

    def __init__(self, chunks: Generator[Chunk], mark: UnderWay, process: EngineProcess) -> None:
        self._chunks, self._mark, self._process = chunks, mark, process

    def __iter__(self) -> Answer:
        return self

    def __next__(self) -> Chunk:
        return next(self._chunks)

    def stop(self) -> None:
        """End this one soon, with its last chunk (finish `interrupted`); thread-safe, returns at once."""
        self._mark.is_stopped = True
        if self._mark.command is not None:
            self._process.stop(self._mark.command)

    def close(self) -> None:
        """End it at once: nobody listens any more."""
        self._chunks.close()
