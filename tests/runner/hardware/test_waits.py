"""Who waits for whom: real processes on real connections."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from runner.hardware.waits import waits_on
from tests.support.waiting import short_lived, until

BEGIN = "import socket, sys, time; there = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); "


@contextmanager
def connected(program: str) -> Iterator[tuple[socket.socket, int, int]]:
    """Our end of a connection to a process that goes on with this program, its id, and the port that it came to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        port = server.getsockname()[1]
        with short_lived(subprocess.Popen([sys.executable, "-c", BEGIN + program, str(port)])) as process:
            here, _ = server.accept()
            with here:
                yield here, process.pid, port


def settled(wait: Callable[[], object]) -> object:
    """It, as soon as it is something and stays so."""
    seen: list[object] = [None]

    def stays() -> bool:
        seen.append(wait())
        return seen[-1] is not None and seen[-1] == seen[-2]

    until(stays, lambda: seen[-2:])
    return seen[-1]


def test_who_waits_for_a_byte_waits_alike_until_one_comes() -> None:
    with connected("[there.recv(1) for _ in range(9)]") as (here, pid, port):
        before = settled(lambda: waits_on(pid, {port}))
        assert waits_on(pid, {port + 1}) is None, "for somebody else"
        here.sendall(b"x")
        until(lambda: waits_on(pid, {port}) not in (before, None), lambda: before)
        os.kill(pid, signal.SIGSTOP)
        until(lambda: waits_on(pid, {port}) is None, lambda: "it was told to stop")


def test_who_sends_waits_alike_until_a_byte_is_taken() -> None:
    with connected("there.sendall(bytes(1 << 28))") as (here, pid, port):
        before = settled(lambda: waits_on(pid, {port}))
        here.recv(1 << 20)
        until(lambda: waits_on(pid, {port}) not in (before, None), lambda: before)


@pytest.mark.parametrize("program", ["time.sleep(60)", "sys.stdin.read()", "[0 for _ in iter(int, 1)]"])
def test_who_does_something_else_waits_for_nobody(program: str) -> None:
    with connected(program) as (_here, pid, port):
        assert waits_on(pid, {port}) is None


def test_nobody_waits_where_nobody_is() -> None:
    assert waits_on(1 << 30, {1}) is None
