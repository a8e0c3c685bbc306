"""Signals that come when Python does not look."""

import subprocess
import sys

from tests.support.waiting import PATIENCE_S

IN_A_FINALIZER = """
import os, signal
from runner.cli.interrupts import calm, take_interrupts

class Gone:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10**6):
            pass

take_interrupts()
try:
    Gone()
    signal.pause()
except KeyboardInterrupt:
    calm()
    print("heard")
"""
HELD = """
import os, signal
from runner.cli.interrupts import calm, take_interrupts

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
os.kill(os.getpid(), signal.SIGINT)
print("not yet")
try:
    take_interrupts()
except KeyboardInterrupt:
    calm()
    print("heard")
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def test_an_interrupt_that_python_drops_comes_again() -> None:
    done = run(IN_A_FINALIZER)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
    assert "Exception ignored" in done.stderr, "the first one was dropped"


def test_an_interrupt_that_is_held_back_is_not_lost() -> None:
    assert run(HELD).stdout == "not yet\nheard\n"
