"""Engines and lent devices that hang: nobody waits for ever, and a person who wants to stop waits no time at all."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from models.errors import DeviceLost, EngineHung
from runner.client import watch
from runner.client.devices import add_rpc
from runner.client.process import EngineProcess
from runner.client.session import EngineSession, Running
from runner.client.watch import TICK_S, Limits, Watch, answering, loading, most_patient, patience, steady
from runner.types.commands import AddRpc, Devices, Generate, Load
from runner.types.generation import Chunk, Finish, Request
from runner.types.machine import Machine
from runner.types.placement import Placement
from runner.types.plan import Candidate, ModelInfo, Plan, Source, Verdict
from runner.types.sampling import Sampling
from scripts.checks.loopback import lending

CPU = Placement((), 0, 31, (), 512, threads=1)
ON_LENT = Placement(("RPC0",), 31, 31, (31,), 512)
GREEDY = Sampling(temperature=0)
STORY = Request(raw="The sea", sampling=GREEDY, ignore_end=True)
IMPATIENT = Limits(0.6, 60.0)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    process = EngineProcess(tmp_path / "log")
    yield process
    process.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command may be idle only for a moment."""
    monkeypatch.setattr(watch, "USUAL", IMPATIENT)
    monkeypatch.setattr(watch, "BY_COMMAND", {})


def session_of(engine: EngineProcess, path: Path) -> EngineSession:
    info = ModelInfo("smollm2", "llama", 135_000_000, 30, 0, 0, 8192)
    one = Candidate("Q4_1", ("x.gguf",), 1, 5.0, 0, Verdict.CPU, CPU, (), None, Source.FORMULA)
    plan = Plan(info, Machine("probe", (), 8 << 30, 8 << 30, 40e9, 2), (one,), 0, ())
    return EngineSession(engine, Running(plan, one, CPU, engine.ask(Load(str(path), CPU))))


def test_a_stop_that_is_not_heard_ends_the_answer_all_the_same(engine: EngineProcess, smollm2: Path) -> None:
    session = session_of(engine, smollm2)
    said: list[Chunk] = []
    for chunk in session.generate((), GREEDY, raw="The sea", ignore_end=True):
        said.append(chunk)
        if chunk.text:
            os.kill(engine.pid, signal.SIGSTOP)
            asked = time.monotonic()
            session.stop()
    assert time.monotonic() - asked < 1
    assert said[-1].finish is Finish.INTERRUPTED and "".join(chunk.text for chunk in said)
    os.kill(engine.pid, signal.SIGCONT)
    again = list(session.generate((), Sampling(temperature=0, max_tokens=4), raw="One two", ignore_end=True))
    assert again[-1].completion_tokens == 4, "it goes on with the next request"


@pytest.mark.usefixtures("impatient")
def test_an_engine_that_does_nothing_is_ended(engine: EngineProcess, smollm2: Path, tmp_path: Path) -> None:
    engine.ask(Load(str(smollm2), CPU))
    text = ""
    with pytest.raises(EngineHung) as caught:
        for chunk in engine.stream(Generate(STORY)):
            text += chunk.text
            if text:
                os.kill(engine.pid, signal.SIGSTOP)
    assert text
    assert str(caught.value) == f"The engine did not go on for 1 s and was ended. Its log is {tmp_path / 'log'}."
    engine.restart()
    assert engine.ask(Devices()).devices


@pytest.mark.usefixtures("impatient")
def test_an_engine_that_does_not_even_listen(engine: EngineProcess) -> None:
    engine.ask(Devices())
    os.kill(engine.pid, signal.SIGSTOP)
    with pytest.raises(EngineHung):
        engine.ask(Generate(Request(raw="more than a pipe holds " * 10_000)))


@pytest.mark.usefixtures("impatient")
def test_a_file_that_does_not_come(engine: EngineProcess, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.gguf"
    os.mkfifo(pipe)
    engine.ask(Devices())
    with pytest.raises(EngineHung):
        engine.ask(Load(str(pipe), CPU))


def test_a_silent_port_is_no_device(engine: EngineProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.ask(Devices())
    monkeypatch.setattr(watch, "BY_COMMAND", {AddRpc: IMPATIENT})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DeviceLost, match=f"listens at {endpoint} and does not answer as a worker does"):
            add_rpc(engine, [endpoint])


def test_a_lent_device_that_stops_is_named(engine: EngineProcess, smollm2: Path, tmp_path: Path) -> None:
    with lending(tmp_path / "lender.log", 1) as (endpoint, pid):
        add_rpc(engine, [endpoint])
        engine.ask(Load(str(smollm2), ON_LENT))
        lender = psutil.Process(pid)
        with pytest.raises(EngineHung, match=f"did not go on for .*the devices at {endpoint} may be gone or busy"):
            for _chunk in engine.stream(Generate(STORY), IMPATIENT):
                lender.suspend()


def use_the_processor() -> None:
    """For longer than the system's clock of processor time is coarse."""
    until = time.process_time() + 0.02
    while time.process_time() < until:
        sum(range(1000))


def test_what_is_busy_is_not_idle_and_may_be_silent_for_long() -> None:
    watched = Watch(os.getpid(), Limits(TICK_S, 5 * TICK_S))
    for _tick in range(5):
        use_the_processor()
        assert watched.waited_s() is None
    use_the_processor()
    assert watched.waited_s() == pytest.approx(6 * TICK_S)
    watched.heard()
    use_the_processor()
    assert watched.waited_s() is None


def test_where_another_machine_says_nothing_of_itself_a_steady_answer_may_not_pause_for_long() -> None:
    watched = Watch(0, steady(answering(0.1), 0.1))  # a process that uses nothing

    def noticed_s() -> float:
        return next(filter(None, (watched.waited_s() for _tick in range(1000))))

    watched.heard()
    watched.heard(is_step=True)
    assert noticed_s() > 30, "what was told is only that it begins"
    watched.begin()
    for _step in range(3):
        watched.heard(is_step=True)
    assert noticed_s() == pytest.approx(7.5, abs=2 * TICK_S)
    watched.begin()
    watched.heard(is_step=True)
    for _tick in range(10):
        assert watched.waited_s() is None
    watched.heard(is_step=True)
    assert noticed_s() == pytest.approx(10, abs=2 * TICK_S), "five of the longest silences so far"
    watched.limits = most_patient([watched.limits, patience(Devices())])
    assert watched.waited_s() is None, "another command may take longer"


def test_a_machine_that_says_nothing_of_itself_may_be_waited_for_while_bytes_move() -> None:
    waits: list[object] = []
    watched = Watch(0, loading(0.0), road=lambda: waits[-1] if waits else None)  # a process that uses nothing

    def noticed_s() -> float:
        return next(filter(None, (watched.waited_s() for _tick in range(1000))))

    assert noticed_s() == pytest.approx(60, abs=2 * TICK_S), "it waits for nobody else"
    watched.begin()
    for tick in range(100):
        waits.append(tick)
        assert watched.waited_s() is None
    assert noticed_s() == pytest.approx(8, abs=2 * TICK_S)
    for limits, seconds in ((loading(1e9), 18), (answering(1.0), 20)):
        watched.begin()
        watched.limits = limits
        assert noticed_s() == pytest.approx(seconds, abs=2 * TICK_S), "a layer from a slow disk, or a long step"
    watched.begin()
    watched.limits = loading(0.0)
    for _tick in range(20):
        assert watched.waited_s() is None
    watched.heard()
    assert noticed_s() == pytest.approx(20, abs=2 * TICK_S), "five of the longest silences so far"
    watched.begin()
    watched.limits = most_patient([loading(0.0), patience(Devices())])
    assert noticed_s() == pytest.approx(60, abs=2 * TICK_S), "another command may wait as long as it likes"


def test_patience_knows_what_is_running() -> None:
    load = patience(Load("x", CPU))
    assert load is not None and load.silent_s is None, "a file may be mapped in one long step"
    slow, usual = answering(60.0), answering(0.01)
    assert slow.idle_s == slow.road_s == 1200.0
    assert replace(usual, road_s=None) == patience(Devices())
