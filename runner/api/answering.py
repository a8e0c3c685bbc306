"""A request under way: its model is waited for and its answers are drawn, in threads, for whoever listens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from models.errors import EngineError, LocalrunError
from runner.api.asked import Asked, Piece, Step
from runner.api.held import answerer, held
from runner.api.pool import Pool, Resident
from runner.client.answer import Answer
from runner.client.session import EngineSession
from runner.service.schema import check_answer
from runner.types.generation import Finish
from runner.types.sampling import Sampling

Put = Callable[[Step | LocalrunError | None], None]


class Answering:
    """`put` hears every step from several threads, then one None, or why there is no more."""

    def __init__(self, pool: Pool, asked: Asked, put: Put) -> None:
        self._pool, self._asked, self._put = pool, asked, put
        self._answers: list[Answer] = []
        self._is_stopped = False
        self._used = 0  # of the context
        self.model = ""
        """What it is called whoever asks; empty until it is there."""
        threading.Thread(target=self._work, name="request", daemon=True).start()

    def stop(self) -> None:
        """Nobody listens any more; thread-safe, returns at once."""
        self._is_stopped = True
        for answer in tuple(self._answers):
            answer.stop()

    def _work(self) -> None:
        end: LocalrunError | None = None
        try:
            with self._pool.lease(self._asked.model, self._put) as resident:
                self.model = resident.known.name
                resident.meets(self._asked.terms)
                self._answer_all(resident)
        except LocalrunError as error:
            end = error
        except Exception as error:  # nobody shall wait for ever
            end = EngineError(f"The request failed: {error!r}.")
        self._put(end)

    def _answer_all(self, resident: Resident) -> None:
        """All answers side by side, the first in this thread; the error of any of them ends them all."""
        session, sampling = answerer(resident), held(resident, self._asked)
        failed: list[LocalrunError] = []
        threads = [
            threading.Thread(target=self._answer, args=(session, sampling, index, failed), daemon=True)
            for index in range(1, self._asked.count)
        ]
        for thread in threads:
            thread.start()
        self._answer(session, sampling, 0, failed)
        for thread in threads:
            thread.join()
        if self._asked.raw is None:
            resident.service.served.heard(session, self._asked.messages, sampling.templating, self._used)
        if failed:
            raise failed[0]

    def _answer(self, session: EngineSession, sampling: Sampling, index: int, failed: list[LocalrunError]) -> None:
        try:
            self._draw(session, sampling, index)
        except Exception as error:  # the other answers of the request end with it
            failed.append(error if isinstance(error, LocalrunError) else EngineError(f"The request failed: {error!r}."))
            self.stop()

    def _draw(self, session: EngineSession, sampling: Sampling, index: int) -> None:
        asked, said = self._asked, ""
        if sampling.seed is not None:
            sampling = replace(sampling, seed=(sampling.seed + index) % 2**32)
        answer = session.generate(
            asked.messages, sampling, continue_last=True, raw=asked.raw, is_watched=asked.is_watched
        )
        self._answers.append(answer)
        if self._is_stopped:
            return
        for chunk in answer:
            said = chunk.text if chunk.recast else said + chunk.text
            if sampling.schema is not None and chunk.finish is Finish.STOP:
                check_answer(said, sampling.schema)
            if chunk.finish is Finish.INTERRUPTED and not self._is_stopped:
                raise EngineError("The server has ended the answer.")
            self._used = max(self._used, chunk.context_used)
            self._put(Piece(index, chunk))
