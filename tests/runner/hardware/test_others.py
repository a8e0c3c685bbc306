"""Who else holds memory of the GPUs here: a driver that is not here, processes that are."""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest

from runner.hardware import nvml
from runner.hardware import others as module
from runner.hardware.others import notes, others
from runner.types.machine import Device, Holder, Kind
from runner.types.units import GIB, MIB
from tests.support.waiting import COMMAND_S, PATIENCE_S

UID = "0000:01:00.0"
NOBODY = 2**22 + 1  # above the largest id of a process
IDLE = Device("CUDA0", Kind.GPU, "A card", 24 * GIB, 24 * GIB - 400 * MIB, uid=UID)
BUSY = replace(IDLE, free=12 * GIB)
DESKTOP = "The desktop and other programs hold 11.5 GiB of CUDA0."


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process that is no child of ours."""
    ran = subprocess.run(
        ["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"],
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=True,
    )
    yield int(ran.stdout)
    os.kill(int(ran.stdout), signal.SIGKILL)


@pytest.mark.parametrize(
    ("device", "known", "said"),
    [
        (IDLE, [], []),
        (IDLE, [Holder(7, "Xorg", 300 * MIB)], []),
        (BUSY, [], [DESKTOP]),
        (BUSY, [Holder(7, "explorer", None), Holder(8, "Xorg", GIB)], [DESKTOP]),
        (BUSY, [Holder(7, "ollama", 11 * GIB)], ["ollama (process 7) holds 11.0 GiB of CUDA0."]),
        (BUSY, [Holder(7, None, 11 * GIB)], ["another program (process 7) holds 11.0 GiB of CUDA0."]),
        (
            BUSY,
            [Holder(7, "ollama", 8 * GIB), Holder(9, "blender", 2 * GIB), Holder(8, "Xorg", GIB)],
            ["ollama (process 7) holds 8.0 GiB and blender (process 9) holds 2.0 GiB of CUDA0."],
        ),
        (replace(BUSY, kind=Kind.RPC), [], []),
        (replace(BUSY, shares_host_memory=True), [], []),
    ],
)
def test_what_is_said(monkeypatch: pytest.MonkeyPatch, device: Device, known: list[Holder], said: list[str]) -> None:
    monkeypatch.setattr(module, "others", lambda _device: known)
    assert list(notes([device])) == said


def test_a_name_steers_no_terminal() -> None:
    assert Holder(7, "x\x1b[2J", 2 * GIB).claim == "x␛[2J (process 7) holds 2.0 GiB"
    assert len(Holder(7, 99 * "y", None).claim) < 80


def test_names_come_from_the_system_and_our_own_processes_are_left_out(
    monkeypatch: pytest.MonkeyPatch, stranger: int
) -> None:
    child = subprocess.Popen(["sleep", "60"])
    sizes = ((NOBODY, None), (stranger, GIB), (child.pid, GIB), (os.getpid(), GIB))
    monkeypatch.setattr(nvml, "holders", lambda uid: sizes if uid == UID else ())
    try:
        found = others(BUSY)
    finally:
        child.kill()
        child.wait(PATIENCE_S)
    assert found == (Holder(stranger, "sleep", GIB), Holder(NOBODY, None, None))
    assert others(replace(BUSY, uid=None)) == ()


def test_the_drivers_two_lists_name_a_process_once(monkeypatch: pytest.MonkeyPatch) -> None:
    both, drawing = SimpleNamespace(pid=1, usedGpuMemory=GIB), SimpleNamespace(pid=2, usedGpuMemory=None)

    def refuses(_handle: object) -> None:
        raise RuntimeError("not supported")

    driver = SimpleNamespace(
        nvmlDeviceGetHandleByPciBusId={UID: "the card"}.__getitem__,
        nvmlDeviceGetComputeRunningProcesses_v3=lambda _handle: [both],
        nvmlDeviceGetGraphicsRunningProcesses_v3=lambda _handle: [both, drawing],
    )
    monkeypatch.setattr(nvml, "library", lambda: driver)
    assert nvml.holders(UID) == ((1, GIB), (2, None))
    driver.nvmlDeviceGetComputeRunningProcesses_v3 = refuses
    assert nvml.holders(UID) == ((1, GIB), (2, None))
    monkeypatch.setattr(nvml, "library", lambda: None)
    assert nvml.holders(UID) == ()
