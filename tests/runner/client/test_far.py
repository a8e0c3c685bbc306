"""Who answers at an address: nobody, somebody else, a server of llama.cpp's own, another version, one that is taken."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import DeviceLost, EngineError, UsageError
from runner.client import far
from runner.client.devices import join
from runner.client.far import meet
from runner.client.process import EngineProcess
from runner.types.codec import pack
from runner.types.machine import Road
from scripts.checks.loopback import lent
from tests.support.listeners import OFFER, Answer, a_worker, garbage, listening, of_llama_cpp, silence


@pytest.mark.parametrize(
    "answer",
    [
        silence,
        garbage,
        a_worker([]),
        a_worker({}),
        a_worker({**pack(OFFER), "devices": []}),
        a_worker({**pack(OFFER), "protocol": ["7", 0, 0]}),
        a_worker({**pack(OFFER), "host": 7}),
        a_worker({**pack(OFFER), "devices": [{**pack(OFFER.devices[0]), "bandwidth": "fast"}]}),
    ],
)
def test_somebody_else_is_there(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(far, "REACHED_S", 0.6)
    with listening(answer) as at:
        began = time.monotonic()
        with pytest.raises(DeviceLost, match=f"^Something listens at {at} and does not answer as a worker does"):
            meet(at, at)
        assert time.monotonic() - began < 3


def test_a_worker_says_who_it_is_and_the_road_is_measured() -> None:
    with listening(a_worker(pack(OFFER))) as at:
        lender = meet("ssh:me@tower", at)
    assert (lender.offer, lender.at, lender.called) == (OFFER, at, "tower (ssh:me@tower)")
    assert 0 < lender.road.latency_s < 1
    assert lender.road.bandwidth is not None and lender.road.bandwidth > 1e6


def test_a_road_that_is_as_long_as_ever_is_not_measured_again() -> None:
    with listening(a_worker(pack(OFFER))) as at:
        assert meet(at, at, Road(1.0, 5.0)).road == Road(1.0, 5.0)


def test_one_borrower_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(far, "REACHED_S", 0.3)
    taken = pack(replace(OFFER, lent_to="laptop (10.0.0.3)\n\x1b[2J"))
    with listening(a_worker(taken)) as at, pytest.raises(EngineError, match="is lent to laptop") as told:
        meet(at, at)
    assert "\x1b" not in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize("answer", [of_llama_cpp((6, 2, 0)), a_worker(pack(replace(OFFER, protocol=(8, 0, 0))))])
def test_another_version_is_refused_before_the_engine_goes_there(child: EngineProcess, answer: Answer) -> None:
    with listening(answer) as at:
        lender = meet(at, at)
        with pytest.raises(EngineError, match=r"do not understand each other: .*\(RPC [68]\.\d\.0\), here localrun"):
            join(child, lender)
    assert child.is_alive()


def test_a_server_of_llama_cpp_itself_lends_too(child: EngineProcess, tmp_path: Path) -> None:
    with lent(tmp_path / "log", 1) as at:
        lender = meet(at, at)
        assert lender.offer is None and lender.called == at and lender.road.bandwidth is None
        join(child, lender)


@pytest.mark.parametrize("endpoint", ["host", ":1", "host:", "host:port", "host:¹"])
def test_what_is_no_address(endpoint: str) -> None:
    with pytest.raises(UsageError, match="wants host:port or ssh:user@host"):
        meet(endpoint, endpoint)
