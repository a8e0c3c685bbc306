"""A worker as a process: it lends no more than it said, keeps weights, outlives its backend, and ends cleanly."""

import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from models.errors import DeviceLost, OutOfMemory
from runner.client.devices import add_rpc, runtime
from runner.client.far import Line
from runner.client.process import EngineProcess
from runner.storage.sent_weights import SentWeights
from runner.types.commands import Generate, Load
from runner.types.generation import Request
from runner.types.lending import Pulse
from runner.types.machine import Kind
from runner.types.placement import Placement
from runner.types.units import MIB
from tests.support.waiting import PATIENCE_S
from tests.support.workers import RunningWorker, working

LIMIT = 256 * MIB
ALL = Placement(("RPC0",), 31, 31, (31,), 512)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    with working(tmp_path_factory.mktemp("worker"), "--memory", "256m", "--cache") as one:
        yield one


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    with closing(EngineProcess(tmp_path / "log")) as process:
        yield process


def pulse_when(worker: RunningWorker, is_so: Callable[[Pulse], bool]) -> Pulse:
    """What it says of itself, as soon as it is so."""
    deadline = time.monotonic() + PATIENCE_S
    with Line(worker.endpoint, 5) as line:
        while not is_so(now := line.ping()):
            assert time.monotonic() < deadline, now
    return now


def test_weights_are_sent_once(worker: RunningWorker, tmp_path: Path, smollm2: Path) -> None:
    sent = []
    for turn in range(2):
        with closing(EngineProcess(tmp_path / f"log{turn}")) as engine:
            add_rpc(engine, [worker.endpoint])
            before = pulse_when(worker, lambda now: now.used == (0,)).received
            loaded = engine.ask(Load(str(smollm2), ALL))
            with Line(worker.endpoint, 5) as line:
                now = line.ping()
            (on_lent, _host) = loaded.memory
            assert now.used == (on_lent.held,) and now.lent_to
            sent.append(now.received - before)
        pulse_when(worker, lambda now: now.used == (0,))
    kept = SentWeights(worker.said.parent / "CACHE" / "localrun" / "sent-weights")
    assert kept.bytes > 10 * MIB, "only large tensors are kept"
    assert sent[0] - sent[1] == pytest.approx(kept.bytes, rel=0.01)


def test_it_says_what_it_lends_and_lends_no_more(worker: RunningWorker, engine: EngineProcess, smollm2: Path) -> None:
    with Line(worker.endpoint, 5) as line:
        offer = line.greet()
    (device,) = offer.devices
    assert (device.id, device.kind, device.free, offer.keeps_weights) == ("CPU", Kind.CPU, LIMIT, True)
    add_rpc(engine, [worker.endpoint])
    (lent,) = [one for one in runtime(engine).devices if one.kind is Kind.RPC]
    assert (lent.free, lent.total) == (LIMIT, LIMIT)
    with pytest.raises(OutOfMemory):
        engine.ask(Load(str(smollm2), Placement(("RPC0",), 31, 31, (31,), 8192)))  # 360 MiB of KV
    assert pulse_when(worker, lambda now: now.used == (0,)).lent_to is None


@pytest.mark.parametrize(
    "words", [b"GET / HTTP/1.1\r\n\r\n", b"{", b"{}\n", b"[]\n", b'{"op": 7}\n', b"\x0e" + bytes(8)]
)
def test_what_it_does_not_understand_it_hangs_up_on(worker: RunningWorker, words: bytes) -> None:
    host, _, port = worker.endpoint.rpartition(":")
    with socket.create_connection((host, int(port)), 5) as one, suppress(ConnectionError):
        one.sendall(words)
        with suppress(OSError):  # it may have hung up
            one.shutdown(socket.SHUT_WR)
        deque(iter(lambda: one.recv(1 << 16), b""), maxlen=0)
    pulse_when(worker, lambda now: now.is_running)


def test_its_backend_is_started_again(worker: RunningWorker, engine: EngineProcess, smollm2: Path) -> None:
    add_rpc(engine, [worker.endpoint])
    engine.ask(Load(str(smollm2), ALL))
    before = worker.backend
    before.kill()
    with pytest.raises(
        DeviceLost, match=rf"\({worker.endpoint}\) (had to start again|does not compute any more): what"
    ):
        engine.ask(Generate(Request(raw="The sea")))
    pulse_when(worker, lambda now: now.is_running)
    assert worker.backend != before and "was killed" in worker.said.read_text()
    engine.restart()
    assert engine.ask(Load(str(smollm2), ALL)).memory


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, None])
def test_it_ends_cleanly(tmp_path: Path, number: signal.Signals | None) -> None:
    with working(tmp_path) as one:
        backend = one.backend
        if number is None:
            one.process.stdin.close()
        else:
            one.process.send_signal(number)
        code = one.process.wait(20)
        backend.wait(5)
        assert code == {signal.SIGINT: 0, signal.SIGHUP: 128 + signal.SIGHUP, None: 128 + signal.SIGTERM}[number]
        assert "Traceback" not in one.said.read_text()
        assert "Lending CPU (" in one.said.read_text() and f"--rpc {one.endpoint}" in one.said.read_text()
