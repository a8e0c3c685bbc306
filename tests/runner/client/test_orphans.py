"""No engine outlives its parent, whatever it does when the parent is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from runner.client.process import EngineProcess
from runner.types.commands import Devices
from tests.support.templates import with_template
from tests.support.waiting import joined, line_of, short_lived, thread, until

SOON_S = 3.0
PARENT = """
import sys
from pathlib import Path
from runner.client.process import EngineProcess
from runner.types.commands import Count, Generate, Load, Rehearse
from runner.types.generation import Message, Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling

log, model, what = sys.argv[1:]
engine = EngineProcess(Path(log))
print(engine.pid, flush=True)
cpu = Placement((), 0, 31, (), 512, threads=1)
story = Generate(Request(raw="The sea", sampling=Sampling(temperature=0), ignore_end=True))


def render():
    engine.ask(Load(model, cpu))
    print("loaded", flush=True)
    engine.ask(Count((Message("user", "hang"),)))


def answer():
    engine.ask(Load(model, cpu))
    for _ in engine.stream(story):
        print("said", flush=True)


{
    "starts": lambda: sys.stdin.read(),
    "loads": lambda: engine.ask(Load(model, cpu)),
    "rehearses": lambda: engine.ask(Rehearse(model, (cpu,))),
    "renders": render,
    "answers": answer,
}[what]()
"""
BUSY = """
from runner.engine.lifeline import end_with_parent
end_with_parent()
print("ready", flush=True)
7 ** (10**9)  # nothing else in this process can run meanwhile
"""


class Parent:
    """A process of its own with an engine; `engine` is that one."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PARENT, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.engine = psutil.Process(int(self.line()))

    def line(self) -> str:
        return line_of(self.process)

    def is_survived(self) -> bool:
        """Kill it, and say whether its engine lives on."""
        with self.process:
            self.process.kill()
        return bool(psutil.wait_procs([self.engine], timeout=SOON_S)[1])


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """A file that is opened for reading and never read to its end."""
    path = tmp_path / "pipe.gguf"
    os.mkfifo(path)
    yield path


def test_while_it_starts(tmp_path: Path, smollm2: Path) -> None:
    assert not Parent(str(tmp_path / "log"), str(smollm2), "starts").is_survived()


@pytest.mark.parametrize("what", ["loads", "rehearses"])
def test_while_it_reads_a_file(tmp_path: Path, pipe: Path, what: str) -> None:
    parent = Parent(str(tmp_path / "log"), str(pipe), what)
    with pipe.open("wb"):  # opens as soon as the engine has opened it
        assert not parent.is_survived()


def test_while_it_answers(tmp_path: Path, smollm2: Path) -> None:
    parent = Parent(str(tmp_path / "log"), str(smollm2), "answers")
    assert parent.line() == "said\n"
    assert not parent.is_survived()


@pytest.mark.skipif(sys.platform == "darwin", reason="only Linux kills a stopped process then")
def test_while_it_is_stopped(tmp_path: Path, smollm2: Path) -> None:
    parent = Parent(str(tmp_path / "log"), str(smollm2), "answers")
    assert parent.line() == "said\n"
    parent.engine.suspend()
    assert not parent.is_survived()


def test_while_it_renders_a_template_that_does_not_end(tmp_path: Path, smollm2: Path) -> None:
    path = with_template(smollm2, "{{ 7**(10**8) }}", tmp_path / "endless.gguf")
    parent = Parent(str(tmp_path / "log"), str(path), "renders")
    assert parent.line() == "loaded\n"
    idle = parent.engine.cpu_times().user
    until(lambda: parent.engine.cpu_times().user > idle + 0.3, parent.engine.cpu_times)
    assert not parent.is_survived()


def test_while_the_interpreter_is_held() -> None:
    busy = subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert busy.stdin is not None
    with short_lived(busy):
        assert line_of(busy) == b"ready\n"
        busy.stdin.close()
        assert busy.wait(SOON_S) in (-signal.SIGKILL, signal.SIGIO)


def test_a_pipe_that_closed_before_it_is_watched() -> None:
    ours, theirs = os.pipe()
    os.close(theirs)
    done = subprocess.run([sys.executable, "-c", BUSY], stdin=ours, timeout=SOON_S, check=False)
    os.close(ours)
    assert done.returncode == 0


def test_the_thread_that_starts_an_engine_may_end(tmp_path: Path) -> None:
    started: list[EngineProcess] = []
    joined(thread(lambda: started.append(EngineProcess(tmp_path / "log"))))
    with closing(started[0]) as engine:
        assert engine.ask(Devices()).devices[-1].id == "CPU"


@pytest.mark.parametrize("number", [signal.SIGCONT, signal.SIGSTOP])
def test_close_ends_it_at_once_even_if_it_is_stopped(tmp_path: Path, number: int) -> None:
    engine = EngineProcess(tmp_path / "log")
    engine.ask(Devices())
    process = psutil.Process(engine.pid)
    os.kill(engine.pid, number)
    engine.close()
    assert not process.is_running()
