"""Two and three workers of different size that only together hold a model: the plan places by size, and comes true."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import DoesNotFit
from runner.client.far import Line
from runner.service.service import LocalService
from runner.types.plan import Source
from runner.types.reasons import OnOthers
from runner.types.sampling import Sampling
from runner.types.units import GIB, MIB
from runner.types.wish import Wish
from scripts.synthetic.random_weights import GEOMETRIES, write
from tests.support.homes import own_home
from tests.support.sessions import loaded, opened, told
from tests.support.workers import RunningWorker, working

SAID = "The sea is wide. " * 12
GREEDY = Sampling(temperature=0, max_tokens=12)
KEPT = 256 * MIB  # of each device, for pools that grow while it computes


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    """One that holds any of the models by itself."""
    with working(tmp_path_factory.mktemp("large"), "--memory", "3g") as one:
        yield one


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, smollm2: Path) -> dict[str, Path]:
    moe = write(tmp_path_factory.mktemp("moe") / "tiny-moe-Q8_0.gguf", GEOMETRIES["tiny-moe"], "Q8_0")
    return {"smollm2": smollm2, "moe": moe}


def in_use(worker: RunningWorker) -> int:
    """What it counts itself."""
    with Line(worker.endpoint, 5) as line:
        (used,) = line.ping().used
    return used


@pytest.mark.parametrize(
    ("model", "here", "there"),
    [  # MiB for the model: here beyond the GiB that other programs keep, and at each worker
        ("smollm2", 36, (44, 84)),
        ("smollm2", 36, (84, 44)),
        ("smollm2", 46, (24, 44, 34)),
        ("moe", 4, (6, 8)),
        ("moe", 4, (8, 3, 4)),
    ],
)
def test_each_holds_what_it_has_room_for(
    large: RunningWorker, tmp_path: Path, models: dict[str, Path], model: str, here: int, there: tuple[int, ...]
) -> None:
    path, sizes = str(models[model]), [room * MIB + KEPT for room in there]
    with ExitStack() as stack:
        stack.enter_context(own_home(tmp_path / "home"))
        workers = [
            stack.enter_context(working(tmp_path / str(index), "--memory", f"{size >> 20}m"))
            for index, size in enumerate(sizes)
        ]
        service = stack.enter_context(closing(LocalService()))
        wish = Wish(
            ctx=512, ubatch=64, margin=0, ram_limit=GIB + here * MIB, rpc=tuple(one.endpoint for one in workers)
        )
        every = tuple(f"RPC{number}" for number in range(len(workers)))
        for left_out in every:
            fewer = replace(wish, devices=tuple(device for device in every if device != left_out))
            with pytest.raises(DoesNotFit):
                service.chosen(service.plan(path, fewer))
        session = loaded(service, service.plan(path, wish))
        assert session.candidate.confirmed_by is Source.REHEARSAL
        assert sum(isinstance(reason, OnOthers) for reason in session.candidate.reasons) == len(workers)
        planned = {row.device: (row.weights, row.kv, row.compute) for row in session.candidate.memory}
        assert planned == {row.device: (row.weights, row.kv, row.compute) for row in session.loaded.memory}
        used = [in_use(one) for one in workers]
        assert used == [sum(planned[device]) for device in every]
        assert all(held <= size - KEPT for held, size in zip(used, sizes, strict=True))
        assert used.index(max(used)) == there.index(max(there)), "the largest holds most"
        several = told(list(session.generate((), GREEDY, raw=SAID, ignore_end=True)))
        service.close()
        assert several == answer_of(large, models[model])


def answer_of(worker: RunningWorker, path: Path) -> str:
    """What one device says that holds all of it."""
    with closing(LocalService()) as service:
        session = opened(service, path, Wish(ctx=512, ubatch=64, rpc=(worker.endpoint,), devices=("RPC0",)))
        return told(list(session.generate((), GREEDY, raw=SAID, ignore_end=True)))
