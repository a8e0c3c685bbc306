"""This computer, asked once, and the bandwidth of its memory, measured once."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from runner.client.process import EngineProcess
from runner.hardware import bandwidth as meter
from runner.hardware import host
from runner.service.machines import Machines
from runner.storage.paths import paths


@pytest.fixture
def machines(child: EngineProcess, tmp_path: Path) -> Machines:
    return Machines(child, replace(paths(), bandwidth=tmp_path / "bandwidth.json"))


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "bandwidth.json"


@pytest.fixture(params=[True, False], ids=["quiet", "busy"])
def quiet(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """How busy the computer says it is."""
    monkeypatch.setattr(host, "load", lambda: 0.0 if request.param else 100.0)
    return bool(request.param)


def computer() -> str:
    return f"{host.cpu_name()}, {host.cores()} cores"


def test_this_computer_is_asked_once_and_a_described_one_never(machines: Machines) -> None:
    here = machines.here()
    assert here.source == "probe" and machines.here() is here and machines.named(None) is here
    assert machines.named("cpu,ram=32g").source == "named"


def test_what_was_measured_is_kept(machines: Machines, kept: Path, quiet: bool) -> None:
    found = machines.here().ram_bandwidth
    assert found is not None and found > 1e9
    assert json.loads(kept.read_text()) == {computer(): {"bytes_per_s": found, "quiet": quiet}}


@pytest.mark.parametrize("was_quiet", [True, False])
def test_what_was_measured_on_a_busy_machine_is_measured_anew_on_a_quiet_one(
    machines: Machines, kept: Path, quiet: bool, was_quiet: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter, "measure_bandwidth", lambda _threads: 30e9)
    kept.write_text(json.dumps({computer(): {"bytes_per_s": 12e9, "quiet": was_quiet}}))
    assert machines.here().ram_bandwidth == (30e9 if quiet and not was_quiet else 12e9)


def test_a_measurement_that_finds_less_than_was_known_changes_nothing(
    machines: Machines, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "load", lambda: 0.0)
    monkeypatch.setattr(meter, "measure_bandwidth", lambda _threads: 5e9)
    kept.write_text(json.dumps({computer(): {"bytes_per_s": 12e9, "quiet": False}}))
    assert machines.here().ram_bandwidth == 12e9


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"x": 1}', '{"KEY": {"bytes_per_s": "fast", "quiet": true}}'])
def test_a_damaged_memory_of_it_costs_a_measurement(machines: Machines, kept: Path, damage: str) -> None:
    kept.write_text(damage.replace("KEY", computer()))
    found = machines.here().ram_bandwidth
    assert found is not None and found > 1e9
