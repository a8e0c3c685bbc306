"""Rates that were measured once and are kept."""

from pathlib import Path

from runner.storage.rates import keep_road, road
from runner.types.machine import Road


def test_the_road_to_each_lender_is_kept_and_the_latest_of_them_stay(tmp_path: Path) -> None:
    path = tmp_path / "roads.json"
    assert road(path, "tower:50052") is None
    keep_road(path, "tower:50052", Road(1e-3, 1e8))
    keep_road(path, "ssh:me@attic", Road(2e-3))
    keep_road(path, "tower:50052", Road(3e-3, 1e9))
    assert (road(path, "tower:50052"), road(path, "ssh:me@attic")) == (Road(3e-3, 1e9), Road(2e-3))
    for number in range(200):
        keep_road(path, f"10.0.0.{number}:50052", Road(number * 1e-3))
    assert road(path, "tower:50052") is None and road(path, "10.0.0.199:50052") == Road(199e-3)
