"""Devices of other processes: they are lent, added, computed on, and lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.errors import DeviceLost, EngineError, UsageError
from runner.client.devices import add_rpc, runtime
from runner.client.process import EngineProcess
from runner.hardware.probe import probe
from runner.types.commands import Generate, Load
from runner.types.generation import Request
from runner.types.machine import Kind
from runner.types.placement import Placement
from runner.types.sampling import Sampling
from runner.types.units import GIB
from scripts.checks.loopback import lent


@pytest.fixture
def borrower(tmp_path: Path) -> Iterator[EngineProcess]:
    process = EngineProcess(tmp_path / "log")
    yield process
    process.close()


def test_a_lent_device_is_a_device(borrower: EngineProcess, tmp_path: Path) -> None:
    with lent(tmp_path / "lender.log", 1) as endpoint:
        add_rpc(borrower, [endpoint])
        (device,) = probe(runtime(borrower), 12e9).devices
        assert (device.id, device.kind, device.shares_host_memory) == ("RPC0", Kind.RPC, False)
        assert device.total > GIB and device.bandwidth is None
        borrower.restart()
        assert [one.id for one in probe(runtime(borrower), 12e9).devices] == ["RPC0"]


def test_a_device_that_goes_away_is_a_lost_device(borrower: EngineProcess, tmp_path: Path, smollm2: Path) -> None:
    with lent(tmp_path / "lender.log", 1) as endpoint:
        add_rpc(borrower, [endpoint])
        borrower.ask(Load(str(smollm2), Placement(("RPC0",), 31, 31, (31,), 512)))
        answer = borrower.stream(Generate(Request(raw="One two", sampling=Sampling(temperature=0), ignore_end=True)))
        next(answer)
    with pytest.raises(
        DeviceLost, match=rf"^{endpoint} has closed the connection: what it held of the model is lost\. "
    ):
        list(answer)


@pytest.mark.parametrize(
    ("endpoint", "error", "said"),
    [
        ("host", UsageError, "--rpc wants host:port or ssh:user@host, not 'host'"),
        (":1", UsageError, "--rpc wants host:port"),
        ("host:port", UsageError, "--rpc wants host:port"),
        ("127.0.0.1:9", EngineError, "No device answers at 127.0.0.1:9"),
        ("127.0.0.1:99999", EngineError, "No device answers"),
        ("no.such.host.invalid:1", EngineError, "No device answers"),
    ],
)
def test_an_endpoint_that_is_none(child: EngineProcess, endpoint: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        add_rpc(child, [endpoint])
