"""A loaded model, seen from the parent: start it (down the ladder if it must), talk to it, sample it, end it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from models.errors import EngineError, OutOfMemory
from runner.client.process import EngineProcess
from runner.hardware.meter import sample
from runner.types.codec import unpack
from runner.types.engine import Loaded, LoadProgress
from runner.types.generation import Chunk, Message, Request
from runner.types.plan import Candidate, Placement, Plan
from runner.types.sample import Sample
from runner.types.sampling import Sampling


class EngineSession:
    """One model in one engine process. `ended` hears the last chunk of every turn."""

    def __init__(
        self,
        child: EngineProcess,
        plan: Plan,
        candidate: Candidate,
        placement: Placement,
        loaded: Loaded,
        ended: Callable[[Chunk], None] = lambda _chunk: None,
    ) -> None:
        self._child = child
        self.ended = ended
        self.plan = plan
        self.candidate = candidate
        self.placement = placement
        self.loaded = loaded

    def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        continue_last: bool = False,
        raw: str | None = None,
        ignore_end: bool = False,
        reuse: bool = True,
    ) -> Iterator[Chunk]:
        """Answer the conversation (or go on with `raw` text); the last chunk carries `finish`.

        `continue_last` goes on with the last assistant message. `reuse` false prefills everything anew.
        """
        history = tuple(messages)
        if history and history[-1].role == "assistant" and not continue_last:
            history = history[:-1]
        turn = Request(history, raw, sampling, ignore_end, reuse)
        for event, value in self._child.stream("generate", turn=turn):
            if event == "chunk":
                chunk = unpack(Chunk, value)
                if chunk.finish is not None:
                    self.ended(chunk)
                yield chunk

    def stop(self) -> None:
        """End the running turn soon; thread-safe, returns at once."""
        self._child.stop()

    def sample(self) -> Sample:
        """Measure the machine now."""
        return sample(self.plan.machine, self._child.pid)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the conversation as the model's template renders it."""
        return int(self._child.ask("count", messages=tuple(messages)))

    def close(self) -> None:
        """End the engine process."""
        self._child.close()


def load(
    child: EngineProcess, plan: Plan, candidate: Candidate, path: Path, ladder: Iterable[Placement]
) -> Iterator[LoadProgress | EngineSession]:
    """Load the weights at `path` (the first shard) by the first placement that works; progress, then the session.

    A rung that fails for want of memory leads to the next one, in a fresh process if the old one died of it; what
    happened is told in `loaded.notes`.
    """
    notes: tuple[str, ...] = ()
    failure: EngineError | None = None
    for placement in ladder:
        try:
            for event, value in child.stream("load", path=str(path), placement=placement):
                if event == "progress":
                    yield unpack(LoadProgress, value)
                elif event == "done":
                    loaded = unpack(Loaded, value)
                    yield EngineSession(child, plan, candidate, placement, replace(loaded, notes=notes + loaded.notes))
                    return
        except EngineError as error:
            if child.is_alive() and not isinstance(error, OutOfMemory):
                raise
            if not child.is_alive():
                child.restart()
            failure = error
            notes += (f"{error} The next smaller placement is tried.",)
    raise failure or EngineError("There is no placement to load.")
