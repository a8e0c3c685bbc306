"""A worker as a process: it lends no more than it said, keeps weights, outlives its backend, and ends cleanly."""

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import termios
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import psutil
import pytest

from models.errors import DeviceLost, OutOfMemory
from runner.client.devices import add_rpc, runtime
from runner.client.far import Line
from runner.client.process import EngineProcess
from runner.lending.worker import Terms, Worker
from runner.service.machines import Machines
from runner.storage.paths import paths
from runner.storage.sent_weights import SentWeights
from runner.types import rpc
from runner.types.commands import Generate, Load
from runner.types.generation import Request
from runner.types.lending import Pulse
from runner.types.machine import Kind
from runner.types.placement import Placement
from runner.types.units import MIB
from tests.support.waiting import COMMAND_S, PATIENCE_S, until
from tests.support.workers import LOCALRUN, RunningWorker, home, working

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


def bytes_sent(worker: RunningWorker, log: Path, model: Path) -> int:
    """What a load of the model, by an engine of its own, sends to the worker."""
    with closing(EngineProcess(log)) as engine:
        add_rpc(engine, [worker.endpoint])
        before = pulse_when(worker, lambda now: now.used == (0,)).received
        loaded = engine.ask(Load(str(model), ALL))
        with Line(worker.endpoint, 5) as line:
            now = line.ping()
        (on_lent, _host) = loaded.memory
        assert now.used == (on_lent.held,) and now.lent_to
        sent = now.received - before
    pulse_when(worker, lambda now: now.used == (0,))
    return sent


def test_weights_are_sent_once_until_they_are_removed(worker: RunningWorker, tmp_path: Path, smollm2: Path) -> None:
    at = worker.said.parent
    first, second = (bytes_sent(worker, tmp_path / "log", smollm2) for _turn in range(2))
    kept = SentWeights(at / "CACHE" / "localrun" / "sent-weights")
    size = kept.bytes
    assert size > 10 * MIB, "only large tensors are kept"
    assert first - second == pytest.approx(size, rel=0.01)
    removed = subprocess.run(
        [*LOCALRUN, "rm", "--cache", "--json"], env=home(at), capture_output=True, timeout=COMMAND_S, check=True
    )
    assert json.loads(removed.stdout)["freed_bytes"] == size and kept.bytes == 0
    assert bytes_sent(worker, tmp_path / "log", smollm2) == pytest.approx(first, rel=0.01)
    assert kept.bytes == size, "it keeps them again"


@pytest.mark.usefixtures("a_user_of_their_own")
def test_no_more_is_kept_than_there_is_room_for(tmp_path: Path, smollm2: Path) -> None:
    kept, at = SentWeights(tmp_path / "kept", 20 * MIB), Terms("127.0.0.1", 0)
    with (
        closing(EngineProcess(tmp_path / "lent")) as lent,
        closing(Worker(lent, at, Machines(lent, paths()).here, kept, lambda _note: None)) as worker,
        closing(EngineProcess(tmp_path / "log")) as engine,
    ):
        add_rpc(engine, [worker.endpoint])
        engine.ask(Load(str(smollm2), ALL))
        written = kept.bytes
        engine.close()
        until(lambda: kept.bytes <= 20 * MIB < written, lambda: (kept.bytes, written))


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


def test_it_says_when_its_backend_hangs_up(worker: RunningWorker) -> None:
    host, _, port = worker.endpoint.rpartition(":")
    before = pulse_when(worker, lambda now: now.is_running)
    nonsense = rpc.HEAD.pack(rpc.Op.GET_ALIGNMENT, 1) + b"x"
    for words in (rpc.HELLO[:-1], rpc.HELLO + nonsense[:-1], rpc.HELLO + nonsense):  # who leaves has not been left
        with socket.create_connection((host, int(port)), PATIENCE_S) as one:
            one.sendall(words)
            if words.endswith(nonsense):
                deque(iter(lambda: one.recv(1 << 16), b""), maxlen=0)
    now = pulse_when(worker, lambda now: now.hang_ups > before.hang_ups)
    assert (now.hang_ups, now.lives) == (before.hang_ups + 1, before.lives)


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, None])
def test_it_ends_cleanly(tmp_path: Path, number: signal.Signals | None) -> None:
    with working(tmp_path) as one:
        backend = one.backend
        if number is None:
            one.process.stdin.close()
        else:
            one.process.send_signal(number)
        code = one.process.wait(PATIENCE_S)
        backend.wait(PATIENCE_S)
        assert code == 128 + (number or signal.SIGTERM)
        assert "Traceback" not in one.said.read_text()
        assert "Lending CPU (" in one.said.read_text() and f"--rpc {one.endpoint}" in one.said.read_text()


@contextmanager
def on_a_terminal(folder: Path) -> Iterator[tuple[psutil.Popen, BinaryIO]]:
    """A worker with a terminal, and the end that a person has."""
    near, far = os.openpty()
    worker = psutil.Popen(
        [*LOCALRUN, "worker", "--listen", "127.0.0.1:0"],
        stdin=far,
        stdout=far,
        stderr=far,
        env=home(folder),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(far)
    with os.fdopen(near, "r+b", buffering=0) as person:
        try:
            yield worker, person
        finally:
            if worker.is_running():
                worker.kill()


@pytest.mark.parametrize(("typed", "code"), [(b"\x03", 0), (b"", 128 + signal.SIGHUP)])
def test_it_ends_with_ctrl_c_and_with_its_terminal(tmp_path: Path, typed: bytes, code: int) -> None:
    with on_a_terminal(tmp_path) as (worker, person):
        said = b""
        while b"Ctrl-C ends it" not in said:
            assert select.select([person], [], [], PATIENCE_S)[0], said
            said += person.read(1 << 10)
        (backend,) = worker.children()
        if typed:
            person.write(typed)
        else:
            person.close()
        assert worker.wait(PATIENCE_S) == code
        backend.wait(PATIENCE_S)
        with suppress(OSError):  # the end of what was said
            while typed and (more := person.read(1 << 10)):
                said += more
        assert b"Traceback" not in said, said
