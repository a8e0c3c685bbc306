"""A loaded model, seen from the parent: load it (by a smaller placement if it must), talk to it, sample it, end it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from models.errors import EngineError, EngineKilled, OutOfMemory
from runner.client.process import EngineProcess
from runner.hardware.meter import sample
from runner.types.commands import Count, Generate, Load
from runner.types.engine import Loaded, LoadProgress
from runner.types.generation import Chunk, Message, Request
from runner.types.placement import Placement
from runner.types.plan import Candidate, Plan
from runner.types.sample import Sample
from runner.types.sampling import Sampling


class EngineSession:
    """One model in one engine process. `ended` hears the last chunk of every request."""

    def __init__(
        self,
        process: EngineProcess,
        plan: Plan,
        candidate: Candidate,
        placement: Placement,
        loaded: Loaded,
        ended: Callable[[Chunk], None] = lambda _chunk: None,
    ) -> None:
        self._process = process
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
        request = Request(history, raw, sampling, ignore_end, reuse)
        for chunk in self._process.stream(Generate(request)):
            if chunk.finish is not None:
                self.ended(chunk)
            yield chunk

    def stop(self) -> None:
        """End the running request soon; thread-safe, returns at once."""
        self._process.stop()

    def sample(self) -> Sample:
        """Measure the machine now."""
        return sample(self.plan.machine, self._process.pid)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the conversation as the model's template renders it."""
        return self._process.ask(Count(tuple(messages)))

    def close(self) -> None:
        """End the engine process."""
        self._process.close()


def load(
    process: EngineProcess, plan: Plan, candidate: Candidate, path: Path, placements: Iterable[Placement]
) -> Iterator[LoadProgress | EngineSession]:
    """Load the weights at `path` (the first shard) by the first placement that works; progress, then the session.

    OutOfMemory and EngineKilled lead to the next one, in a fresh process if the old one died of it, and are told in
    `loaded.notes`; every other error is raised.
    """
    notes: tuple[str, ...] = ()
    failure: EngineError | None = None
    for placement in placements:
        try:
            loaded = yield from process.stream(Load(str(path), placement))
        except (OutOfMemory, EngineKilled) as error:
            if not process.is_alive():
                process.restart()
            failure = error
            notes += (f"{error} The next smaller placement is tried.",)
        else:
            yield EngineSession(process, plan, candidate, placement, replace(loaded, notes=notes + loaded.notes))
            return
    raise failure or EngineError("There is no placement to load.")
