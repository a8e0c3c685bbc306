"""This computer as a Machine: the real one, a borrowed device on the loopback, and what drivers and files would say."""

from pathlib import Path

import pytest

from runner.client.devices import runtime
from runner.client.process import EngineProcess
from runner.hardware import nvml, pci
from runner.hardware.probe import devices_of, probe, unused_gpus
from runner.types.machine import DeviceFacts, Kind, Runtime
from runner.types.units import GIB, MIB

CPU = DeviceFacts("CPU", "Some CPU", Kind.CPU, "CPU", 32 * GIB, 32 * GIB, None, False)
CARD = DeviceFacts("CUDA0", "A card", Kind.GPU, "CUDA", 24 * GIB, 23 * GIB, "0000:01:00.0", True)
SAME_CARD = DeviceFacts("Vulkan0", "A card", Kind.GPU, "Vulkan", 24 * GIB, 23 * GIB, "0000:01:00.0", True)
INTEGRATED = DeviceFacts("Vulkan1", "An iGPU", Kind.IGPU, "Vulkan", 16 * GIB, 16 * GIB, "0000:00:02.0", False)
METAL = DeviceFacts("MTL0", "Apple M3", Kind.GPU, "MTL", 32 * GIB, 24 * GIB, None, False)


def built(*devices: DeviceFacts, backends: tuple[str, ...] = ("CPU",)) -> Runtime:
    return Runtime((*devices, CPU), backends, "1", "")


# ---- the real computer


def test_this_computer(child: EngineProcess) -> None:
    found = probe(runtime(child), 12e9)
    assert found.source == "probe" and found.devices == ()
    assert 0 < found.ram_available <= found.ram_total
    assert found.cores >= 1 and found.ram_bandwidth == 12e9
    assert {"CPU", "RPC"} <= set(runtime(child).backends)


# ---- devices that are not here


@pytest.mark.parametrize(
    ("facts", "ids"),
    [
        ([CPU], []),
        ([CARD, CPU], ["CUDA0"]),
        ([CARD, SAME_CARD, INTEGRATED, CPU], ["CUDA0", "Vulkan1"]),
        ([INTEGRATED, CPU], ["Vulkan1"]),
        ([METAL, CPU], ["MTL0"]),
    ],
)
def test_a_card_that_two_backends_see_is_one_device(facts: list[DeviceFacts], ids: list[str]) -> None:
    assert [device.id for device in devices_of(facts)] == ids


def test_what_a_device_is_to_the_planner() -> None:
    card, integrated, metal = devices_of([CARD, INTEGRATED, METAL])
    assert (card.overhead, card.shares_host_memory, card.has_host_buffer) == (330 * MIB, False, True)
    assert integrated.shares_host_memory and metal.shares_host_memory
    assert (integrated.overhead, metal.overhead) == (0, 0)


# ---- GPUs that llama.cpp cannot use


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pci, "SYS", tmp_path)
    return tmp_path / "bus/pci/devices"


def plug(bus: Path, address: str, vendor: str, kind: str = "0x030000") -> None:
    folder = bus / address
    folder.mkdir(parents=True)
    (folder / "class").write_text(f"{kind}\n")
    (folder / "vendor").write_text(f"{vendor}\n")


def test_nothing_is_said_without_a_gpu_or_with_a_used_one(bus: Path) -> None:
    assert unused_gpus(built()) == []
    plug(bus, "0000:00:03.0", "0x10de", "0x020000")  # no display
    plug(bus, "0000:00:02.0", "0x8086")  # the processor's own
    assert unused_gpus(built()) == []
    plug(bus, "0000:01:00.0", "0x10de")
    assert unused_gpus(built(CARD, backends=("CUDA", "CPU"))) == []


@pytest.mark.parametrize(
    ("vendor", "backends", "said"),
    [
        ("0x10de", ("RPC", "CPU"), "is built for the CPU alone and cannot use the NVIDIA card"),
        ("0x1002", ("Vulkan", "CPU"), "has Vulkan, but cannot use the AMD card"),
        ("0x8086", ("CPU",), "cannot use the Intel card"),
    ],
)
def test_a_card_that_is_not_used_is_said_with_the_command(
    bus: Path, vendor: str, backends: tuple[str, ...], said: str
) -> None:
    plug(bus, "0000:03:00.0", vendor)
    (sentence,) = unused_gpus(built(backends=backends))
    assert said in sentence and "`localrun doctor`" in sentence


def test_the_driver_names_the_card(bus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cards = (nvml.DriverGpu("0000:01:00.0", "NVIDIA GeForce RTX 4090", 24 * GIB, 23 * GIB),)
    monkeypatch.setattr(nvml, "gpus", lambda: cards)
    assert "cannot use the NVIDIA GeForce RTX 4090" in unused_gpus(built())[0]
