"""Workers that claim more memory than they have: a `localrun worker` whose backend may address no more than a bit."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from models.errors import DeviceLost, DoesNotFit, ExitCode
from runner.service.service import LocalService
from runner.types.plan import Plan
from runner.types.sampling import Sampling
from runner.types.units import MIB
from runner.types.wish import Wish
from scripts.checks.loopback import grow_no_more_than
from tests.support.homes import own_home
from tests.support.sessions import loaded, told
from tests.support.workers import RunningWorker, working

GREEDY = Sampling(temperature=0, max_tokens=12)
Workers = tuple[RunningWorker, RunningWorker]
LITTLE = 16 * MIB  # less than the largest tensor of SmolLM2, which is sent at once


@pytest.fixture
def service(tmp_path: Path) -> Iterator[LocalService]:
    with own_home(tmp_path / "home"), closing(LocalService()) as local:
        yield local


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    with working(tmp_path / "one") as one, working(tmp_path / "other") as other:
        yield one, other


def planned(service: LocalService, model: Path, workers: Workers) -> Plan:
    """Half of it on each."""
    rpc = tuple(one.endpoint for one in workers)
    return service.plan(str(model), Wish(ctx=512, gpu_layers=31, tensor_split=(1, 1), rpc=rpc))


def test_one_that_hangs_up_for_want_of_memory_is_named_while_its_heart_goes_on(
    service: LocalService, workers: Workers, smollm2: Path
) -> None:
    plan = planned(service, smollm2, workers)
    weights = {row.device: row.weights for row in plan.candidates[0].memory}
    other, short = workers
    grow_no_more_than(short.backend.pid, weights["RPC1"] + LITTLE)
    with pytest.raises(DeviceLost) as lost:
        list(service.load(plan, 0))
    said = str(lost.value)
    assert f"({short.endpoint}) has closed the connection: what it held of the model is lost" in said
    assert other.endpoint not in said and ".cpp" not in said


def test_one_that_runs_out_of_memory_before_a_prompt_is_named(
    service: LocalService, workers: Workers, smollm2: Path
) -> None:
    """Whether it dies of it or only hangs up."""
    short, other = workers
    session = loaded(service, planned(service, smollm2, workers))
    grow_no_more_than(short.backend.pid, 0)
    with pytest.raises(DeviceLost) as lost:
        list(session.generate((), GREEDY, raw="The sea is wide. " * 20, ignore_end=True))
    said = str(lost.value)
    assert f"({short.endpoint}) " in said and other.endpoint not in said


def test_what_it_cannot_allocate_goes_elsewhere(service: LocalService, workers: Workers, smollm2: Path) -> None:
    short, _other = workers
    grow_no_more_than(short.backend.pid, LITTLE)
    plan = service.plan(str(smollm2), Wish(ctx=512, devices=("RPC0",), rpc=(short.endpoint,)))
    session = loaded(service, plan)
    (note,) = session.loaded.notes
    assert note.startswith("Out of memory, though ") and " with more of it on the CPU: all 31 layers on the CPU" in note
    assert "RPC0 is lent by " in note and note.endswith(f" ({short.endpoint}).")
    assert told(list(session.generate((), GREEDY, raw="The sea", ignore_end=True)))


def test_what_may_go_nowhere_else_is_refused_with_its_name(
    service: LocalService, workers: Workers, smollm2: Path
) -> None:
    short, _other = workers
    grow_no_more_than(short.backend.pid, LITTLE)
    plan = service.plan(str(smollm2), Wish(ctx=512, gpu_layers=31, rpc=(short.endpoint,)))
    with pytest.raises(DoesNotFit, match=f"ran out of memory, and .* RPC0 is lent by .*{short.endpoint}") as refused:
        list(service.load(plan, service.chosen(plan)))
    assert refused.value.exit_code == ExitCode.DOES_NOT_FIT
