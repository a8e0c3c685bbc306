"""A search on the Hub, with what this machine could do with each repository that it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from models.errors import LocalrunError
from models.hub.listing import Found
from runner.service.planned import planned
from runner.service.studies import Studies
from runner.types.hit import Hit
from runner.types.machine import Machine
from runner.types.measurement import Measurement
from runner.types.wish import Wish

THREADS = 4  # repositories at a time, each of which reads several headers at a time


def judged(
    found: Sequence[Found], studies: Callable[[], Studies], machine: Machine, measured: Sequence[Measurement]
) -> Iterator[Hit]:
    """Every repository with its plan, in order, each as soon as its headers and those of the ones before are read.

    Planned without rehearsals, as the picker does. `studies` makes new ones: threads share none. Who takes no more
    rows waits for the repositories that are being read, and for no others.
    """

    def judge(one: Found) -> Hit:
        try:
            study = studies().of(one.repo, None, wide=True)
            return Hit(one.repo, one.downloads, planned(study, machine, Wish(), measured))
        except LocalrunError as error:
            return Hit(one.repo, one.downloads, problem=str(error))

    pool = ThreadPoolExecutor(THREADS)
    try:
        yield from pool.map(judge, found)
    finally:
        pool.shutdown(cancel_futures=True)
