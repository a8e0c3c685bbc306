"""The command where a machine that lends is none, speaks something else, or goes away: one sentence, and code 1."""

import queue
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.listeners import Answer, garbage, listening, of_llama_cpp, silence
from tests.support.waiting import COMMAND_S, PATIENCE_S, short_lived, thread
from tests.support.workers import working

STORY = "Write a very long story about the sea."
LOCALRUN = (sys.executable, "-P", "-m", "localrun", "smollm2-135m", "--ctx", "1024", "--temp", "0")


def ends_with_a_sentence(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """What it still says on stdout, and its last words."""
    out, err = process.communicate(timeout=COMMAND_S)
    assert process.returncode == 1, err
    assert "Traceback" not in err and "ggml" not in err and "want of memory" not in err
    last = err.strip().splitlines()[-1]
    assert last.startswith("localrun: ")
    return out, last


def started(environment: dict[str, str], *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*LOCALRUN, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def begun(process: "subprocess.Popen[str]") -> str:
    """The first characters that it says."""
    assert process.stdout is not None
    said: queue.SimpleQueue[str] = queue.SimpleQueue()
    stream = process.stdout
    thread(lambda: said.put(stream.read(8)))
    return said.get(timeout=COMMAND_S)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (silence, "Something listens at {} and does not answer as a worker does."),
        (garbage, "Something listens at {} and does not answer as a worker does."),
        (of_llama_cpp((6, 2, 0)), "{} and this computer do not understand each other: "),
    ],
)
def test_who_is_no_worker_of_ours_is_named_before_anything_is_loaded(
    environment: dict[str, str], answer: Answer, said: str
) -> None:
    with listening(answer) as at, short_lived(started(environment, "-p", "x", "--rpc", at)) as process:
        out, last = ends_with_a_sentence(process)
        assert out == "" and said.format(at) in last


def test_a_worker_that_is_killed_in_an_answer_is_named_and_what_was_said_stays(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with working(tmp_path) as worker:
        wish = ("--rpc", worker.endpoint, "--devices", "RPC0", "--max-tokens", "800")
        with short_lived(started(environment, "-p", STORY, *wish)) as process:
            assert begun(process)
            worker.process.kill()
            worker.process.wait(PATIENCE_S)
            _, last = ends_with_a_sentence(process)
            assert f"({worker.endpoint}) is gone: what it held of the model is lost." in last
