"""Many clients at once of `localrun serve`, as a process of its own, over the real small model."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress

import psutil
import pytest

from runner.types.units import MIB
from tests.support.waiting import COMMAND_S, joined, line_of, short_lived, thread

MODEL = "smollm2-135m"
FLAGS = ("--threads", "1", "--parallel", "8", "--ctx", "4096", "--draft", "off", "--listen", "127.0.0.1:0")
MOST = 64 * MIB  # 64 clients may add: a megabyte each
LOOK_S = 0.02


@pytest.fixture(scope="module")
def server(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Its process, and the port that it listens on."""
    (folder := tmp_path_factory.mktemp("run")).chmod(0o700)
    command = [sys.executable, "-P", "-m", "localrun", "serve", MODEL, *FLAGS]
    own = {**environment, "XDG_RUNTIME_DIR": str(folder)}
    with short_lived(subprocess.Popen(command, env=own, stderr=subprocess.PIPE, text=True)) as process:
        while "Listening" not in (said := line_of(process, "stderr")):
            assert said, "it has ended"
        yield process.pid, int(said.partition("127.0.0.1:")[2].partition(";")[0])
        process.terminate()
        assert process.wait(COMMAND_S) == 0


def ask(port: int, number: int) -> tuple[int, str]:
    """Status, and what was said: an answer or a sentence."""
    messages = [{"role": "user", "content": f"Say something about the number {number}."}]
    body = {"model": MODEL, "messages": messages, "max_tokens": 4, "temperature": 0}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=COMMAND_S)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        answer = connection.getresponse()
        said = json.loads(answer.read())
    text = said["choices"][0]["message"]["content"] if answer.status == 200 else said["error"]["message"]
    return answer.status, text


def held(server: psutil.Process) -> int:
    """Bytes of the server and its engine beside what is mapped from files."""
    total = 0
    for one in (server, *server.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += one.memory_info().rss - one.memory_info().shared
    return total


@contextmanager
def watched(server: psutil.Process) -> Iterator[list[int]]:
    """What it holds, again and again."""
    found, is_over = [held(server)], threading.Event()

    def look() -> None:
        while not is_over.wait(LOOK_S):
            found.append(held(server))

    looking = thread(look)
    try:
        yield found
    finally:
        is_over.set()
        joined(looking)


@pytest.mark.skipif(sys.platform != "linux", reason="bytes that are shared are told by Linux alone")
def test_64_at_once_are_all_answered_and_what_they_take_is_bounded(server: tuple[int, int]) -> None:
    number, port = server
    assert ask(port, 0)[0] == 200
    with watched(psutil.Process(number)) as bytes_held, ThreadPoolExecutor(64) as clients:
        found = list(clients.map(lambda client: ask(port, client), range(64)))
    assert {status for status, _ in found} == {200} and all(text for _, text in found), found
    assert max(bytes_held) - bytes_held[0] < MOST, bytes_held
