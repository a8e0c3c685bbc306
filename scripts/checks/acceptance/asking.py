"""Requests to a loaded model, and how long they will take."""

import os
import signal
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from models.errors import EngineError, LocalrunError
from runner.client.process import EngineProcess
from runner.client.session import EngineSession
from runner.types import generation
from runner.types.generation import Chunk
from runner.types.sampling import Sampling
from scripts.checks.acceptance.rows import Expected, Request, Speeds
from scripts.synthetic.random_weights import prompt

_WARM_UP = (512, 8)  # tokens of the prompt and of the answer before anything is timed: libraries and pools come with it
_SHORT, _READS = 1024, 3  # a prompt up to so long is read so many times, for one reading takes too little time
_LOAD_BYTES_PER_SECOND = 2e9  # pinned weights on an H100's host; mapped ones are faster
_START_S = 3.0
_CARE = 1.3  # predictions of speeds are seldom farther off


@dataclass(frozen=True, slots=True)
class Asked:
    """Tokens of the prompts, each from an empty cache, and of the answer behind each."""

    prompts: tuple[int, ...]
    answer: int


def seconds_for(expected: Expected, asked: Asked, file_bytes: int) -> float:
    """A careful guess of what a load and its requests take."""
    requests = sum(
        (_READS if length <= _SHORT else 1) * length / speeds.prefill_tps + asked.answer / speeds.decode_tps
        for length, speeds in expected.requests.items()
    )
    return _START_S + file_bytes / _LOAD_BYTES_PER_SECOND + _CARE * requests


def warm_up(session: EngineSession, vocabulary: int) -> None:
    """A request that is not timed."""
    tokens, answer = _WARM_UP
    _made(session, vocabulary, min(tokens, session.loaded.ctx // 2), answer)


def request(session: EngineSession, vocabulary: int, tokens: int, answer: int) -> Request:
    """Read a prompt of different words into an empty cache and decode an answer behind it, as llama.cpp draws tokens.

    EngineError where the context is too short for it.
    """
    first = _made(
        session, vocabulary, tokens, answer + 1
    )  # the first token comes with the prompt, the others are timed
    again = range(1, _READS if tokens <= _SHORT else 1)
    reads = [first, *(_made(session, vocabulary, tokens, 1) for _ in again)]
    speeds = [last.prefill_tps for last in reads if last.prefill_tps]
    if first.completion_tokens <= answer or first.decode_tps is None or len(speeds) < len(reads):
        raise EngineError(f"A context of {session.loaded.ctx} is too short for {tokens} and {answer} tokens.")
    return Request(first.prompt_tokens, answer, Speeds(statistics.median(speeds), first.decode_tps))


def _made(session: EngineSession, vocabulary: int, tokens: int, answer: int) -> Chunk:
    sampling = Sampling(seed=1, max_tokens=answer)
    asked = generation.Request((), prompt(vocabulary, tokens), sampling, ignore_end=True, reuse=False)
    *_, last = session.ask(asked)
    return last


@contextmanager
def patience(child: EngineProcess, seconds: float) -> Iterator[None]:
    """Kill the process if what is done with it takes longer; EngineError then."""
    expired = threading.Event()

    def give_up() -> None:
        expired.set()
        os.kill(child.pid, signal.SIGKILL)

    timer = threading.Timer(max(0.0, seconds), give_up)
    timer.start()
    try:
        yield
    except LocalrunError:
        if expired.is_set():
            raise EngineError(f"Given up after {seconds:.0f} s.") from None
        raise
    finally:
        timer.cancel()
