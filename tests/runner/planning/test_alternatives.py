"""What else would run: estimates of the catalog on machines of many sizes."""

from dataclasses import replace

import pytest

from models.entry import Entry
from models.names import catalog
from runner.planning.alternatives import best_of, estimate
from runner.types.machine import Kind, Machine
from runner.types.plan import Verdict
from runner.types.units import GIB
from tests.support.planner import a100, gpu, machine

LLAMA = catalog.models_of_family("llama")


def entry(name: str) -> Entry:
    found = catalog.lookup(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "on", "verdict"),
    [
        ("llama-3.3-70b", machine(a100()), Verdict.GPU),
        ("llama-3.3-70b", machine(gpu(24)), Verdict.SPLIT),
        ("llama-3.3-70b", machine(gpu(2), ram=64), Verdict.CPU),
        ("llama-3.3-70b", machine(gpu(8), ram=16), Verdict.NO),
        ("llama-3.3-70b", machine(gpu(24), gpu(24, index=1)), Verdict.GPU),
        ("llama-3.1-8b", machine(gpu(8), ram=16), Verdict.GPU),
        ("llama-3.1-8b", machine(ram=8), Verdict.CPU),
        ("mixtral-8x22b", machine(a100()), Verdict.SPLIT),
    ],
)
def test_where_an_entry_would_run(name: str, on: Machine, verdict: Verdict) -> None:
    found = estimate(entry(name), on)
    assert found.verdict is verdict
    assert (found.decode_tps > 0) == (verdict is not Verdict.NO)


def test_the_largest_of_a_family_that_runs_well() -> None:
    best = [best_of(LLAMA, machine(gpu(size), ram=16, ram_gbps=40)) for size in (1, 2, 4, 8, 48, 80)]
    names = [one.entry.name if one else None for one in best]
    assert names[-3:] == ["llama-3.1-8b", "llama-3.3-70b", "llama-3.3-70b"]
    sizes = [one.entry.parameters if one else 0 for one in best]
    assert sizes == sorted(sizes)
    assert best_of(LLAMA, machine(ram=1)) is None
    assert best_of((), machine(a100())) is None


def test_more_memory_never_predicts_slower() -> None:
    for one in catalog.entries():
        speeds = [estimate(one, machine(gpu(size), ram=512)).decode_tps for size in range(2, 96, 2)]
        assert speeds == sorted(speeds), one.name


def test_memory_that_is_shared_counts_once() -> None:
    shared = replace(gpu(32), kind=Kind.IGPU, shares_host_memory=True, overhead=0)
    alone = machine(shared, ram=32)
    assert estimate(entry("llama-3.3-70b"), alone).verdict is Verdict.NO
    assert estimate(entry("qwen3-30b-a3b"), alone).verdict is Verdict.GPU


def test_an_integrated_gpu_beside_a_discrete_one_is_left_out() -> None:
    beside = replace(gpu(100), id="Vulkan1", kind=Kind.IGPU)
    assert estimate(entry("llama-3.3-70b"), machine(gpu(8), beside, ram=16)).verdict is Verdict.NO


def test_sizes_are_those_of_the_files() -> None:
    assert estimate(entry("llama-3.3-70b"), machine(a100())).bytes == pytest.approx(42.5e9, rel=0.02)
    assert estimate(entry("mixtral-8x22b"), machine(a100())).bytes == pytest.approx(85.6e9, rel=0.02)
    assert GIB < estimate(entry("llama-3.2-3b"), machine(a100())).bytes < 3 * GIB
