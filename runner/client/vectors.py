"""A loaded model that makes vectors or scores, seen from the parent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from models.errors import EngineError, EngineHung, OutOfMemory
from runner.client.process import EngineProcess
from runner.client.session import Recover, Running
from runner.types.commands import Embed, Score
from runner.types.vectors import Made


class VectorSession:
    """One such model in one engine process.

    `recover` is asked to load again as in an EngineSession: something smaller where memory ran out among the texts,
    which go on; before the next ones where the engine has died.
    """

    def __init__(self, process: EngineProcess, running: Running, recover: Recover) -> None:
        self.running = running
        """What is loaded: maybe less than the plan chose; its notes say why."""
        self._process, self._recover = process, recover
        self._is_empty = False  # a fresh engine could not load what the one before had
        self._last_error = EngineError("The engine ended between two requests.")

    def made(self, command: Embed | Score) -> Iterator[tuple[Made, ...]]:
        """What becomes of the texts, in order, as it comes; where it was stopped, of fewer."""
        if self._process.has_died() or self._is_empty:
            self._again(self._last_error, 0)
        longest = 0
        while True:
            try:
                for step in self._process.stream(command, self.running.patience):
                    command = replace(command, texts=command.texts[len(step) :])
                    longest = max(longest, *(one.tokens for one in step))
                    yield step
                return
            except OutOfMemory as error:
                self._again(error, longest)
            except EngineError as error:
                self._last_error = error
                if not (error.came_before and self._process.has_died()) or isinstance(error, EngineHung):
                    raise
                self._again(error, longest)

    def stop(self) -> None:
        """End the running request soon; thread-safe, returns at once."""
        self._process.stop()

    def _again(self, error: EngineError, least_ctx: int) -> None:
        self._is_empty = True
        self.running = self._recover(error, least_ctx)
        self._is_empty = False
