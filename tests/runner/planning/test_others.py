"""Devices of other machines: only for what does not fit here, unless it is clearly faster or was asked for."""

from dataclasses import replace

import pytest

from runner.planning.placement import place
from runner.report.benchmark import network_lines
from runner.report.contract import bench_json, machine_json
from runner.report.sentences import sentence
from runner.types.engine import Loaded
from runner.types.generation import Chunk, Phase
from runner.types.machine import Device, Kind, Lent, Road
from runner.types.measurement import Benchmark
from runner.types.plan import Candidate, Source, Verdict
from runner.types.reasons import OnOthers, OthersLeftOut
from runner.types.wish import Wish
from tests.support.planner import gpu, machine, shape

CABLE, WIFI, SATELLITE = Road(0.1e-3, 1.1e9), Road(4e-3, 20e6), Road(0.6, 2e6)


def lent(road: Road, gib: float = 24, number: int = 0) -> Device:
    where = Lent(f"tower{number}:50052", "CUDA0", host=f"tower{number}", road=road, keeps_weights=True)
    return replace(gpu(gib), id=f"RPC{number}", kind=Kind.RPC, has_host_buffer=False, lent=where)


@pytest.mark.parametrize(
    ("model", "devices", "wish", "used"),
    [
        ("llama-3.1-8b", (gpu(24), lent(CABLE)), Wish(), ("CUDA0",)),
        ("llama-3.1-8b", (gpu(24), lent(CABLE)), Wish(devices=("RPC0",)), ("RPC0",)),
        ("llama-3.1-8b", (lent(CABLE),), Wish(), ("RPC0",)),
        ("llama-3.3-70b", (gpu(24), lent(CABLE)), Wish(), ("CUDA0", "RPC0")),
        ("llama-3.3-70b", (gpu(24), lent(SATELLITE, 8)), Wish(ctx=4096), ("CUDA0",)),
        ("qwen3-30b-a3b", (gpu(12), lent(CABLE, 12)), Wish(), ("CUDA0", "RPC0")),
    ],
)
def test_where_a_model_goes(model: str, devices: tuple[Device, ...], wish: Wish, used: tuple[str, ...]) -> None:
    placed = place(shape(model), machine(*devices, ram=64), wish)
    assert placed.placement is not None and set(placed.placement.devices) == set(used)
    on_others = [one for one in placed.reasons if isinstance(one, OnOthers)]
    left_out = [one for one in placed.reasons if isinstance(one, OthersLeftOut)]
    assert [one.device for one in on_others] == [name for name in used if name.startswith("RPC")]
    assert bool(left_out) == (not on_others)
    for one in on_others:
        weights = next(row.weights for row in placed.memory if row.device == one.device)
        assert one.weights == weights and one.load_s == pytest.approx(weights / 1.1e9)


def test_machines_of_different_size_and_speed_take_what_suits_them() -> None:
    """The larger takes more; where one is enough it is the faster."""
    slow = replace(lent(CABLE, 24, 1), bandwidth=300e9)
    both = place(shape("llama-3.3-70b"), machine(lent(CABLE, 40), slow, ram=8), Wish(ctx=4096))
    assert both.placement is not None and set(both.placement.devices) == {"RPC0", "RPC1"}
    layers = dict(zip(both.placement.devices, both.placement.tensor_split, strict=True))
    assert layers["RPC0"] > layers["RPC1"] > 0
    one = place(shape("llama-3.1-8b"), machine(slow, lent(CABLE, 12), ram=4), Wish(ctx=4096))
    assert one.placement is not None and one.placement.devices == ("RPC0",)


def test_what_does_not_fit_here_goes_there_however_slow_it_is() -> None:
    placed = place(shape("llama-3.3-70b"), machine(gpu(24), lent(WIFI), ram=8), Wish(ctx=2048))
    assert placed.verdict is Verdict.GPU and placed.placement is not None
    (one,) = [reason for reason in placed.reasons if isinstance(reason, OnOthers)]
    assert sentence(one).startswith("RPC0 is tower0 (tower0:50052): ") and "the first time" in sentence(one)
    assert "each token goes there once, which takes " in sentence(one)


def test_the_words() -> None:
    assert sentence(OthersLeftOut(("a:1", "b (ssh:b)"), 1.4)) == (
        "Nothing goes to a:1 and b (ssh:b): it fits here, and would take 1.4 times as long with it."
    )
    assert "would not be clearly faster there" in sentence(OthersLeftOut(("a:1",), 0.95))
    (far, _cpu) = machine_json(machine(lent(CABLE)))["devices"]
    assert far["road"] == {"latency_s": 0.1e-3, "bandwidth": 1.1e9} and far["endpoint"] == "tower0:50052"


def test_a_benchmark_shows_the_road_and_what_went_over_it() -> None:
    here = machine(lent(CABLE))
    placed = place(shape("llama-3.1-8b"), here, Wish())
    candidate = Candidate("Q4_K_M", (), 1, 4.8, 0, placed.verdict, None, (), None, Source.FORMULA, placed.reasons)
    measured = Benchmark(
        9.0, (9.0, 9.0), 90.0, (90.0, 90.0), 0.5, 512, Chunk(Phase.DONE), traffic=(("RPC0", 12_340_000),)
    )
    on_it, road = network_lines(measured, candidate, here)
    assert on_it.startswith("RPC0 is tower0 (tower0:50052): ") and road == "RPC0 network: 0.10 ms · 1100 MB/s · 12.3 MB"
    (entry,) = bench_json(measured, candidate, Loaded(512, 1.0, (), ""), 5)["network"]
    assert (entry["device"], entry["round_trips"], entry["traffic"]) == ("RPC0", 1, 12_340_000)
