"""This computer as a Machine: the real one, a borrowed device on the loopback, and what drivers and files would say."""

from dataclasses import replace
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


def test_a_slice_of_a_card_has_its_share_of_the_bandwidth(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = nvml.DriverGpu("0000:01:00.0", "NVIDIA A100-SXM4-80GB", 80 * GIB, 40 * GIB, bandwidth=2e12)
    monkeypatch.setattr(nvml, "gpus", lambda: (whole,))
    (mig,) = devices_of([replace(CARD, total=40 * GIB, free=39 * GIB)])
    (card,) = devices_of([replace(CARD, total=79 * GIB, free=78 * GIB)])
    assert (mig.bandwidth, card.bandwidth) == (1e12, 2e12)


# ---- integrated GPUs of AMD's

APU = DeviceFacts("ROCm0", "Radeon 8060S", Kind.IGPU, "ROCm", 96 * GIB, 95 * GIB, "0000:c6:00.0", True)


def divide(sys: Path, carve_out: int, gtt: int) -> None:
    folder = sys / "bus/pci/devices/0000:c6:00.0"
    folder.mkdir(parents=True)
    (folder / "mem_info_vram_total").write_text(f"{carve_out}\n")
    (folder / "mem_info_gtt_total").write_text(f"{gtt}\n")


@pytest.mark.parametrize(
    ("carve_out", "gtt", "free", "shares"),
    [
        (96 * GIB, 16 * GIB, 95 * GIB, False),  # the system sees the other 32 GiB alone
        (64 * GIB, 32 * GIB, 64 * GIB, False),  # Vulkan sees 96; half of the 32 is the host's as well
        (GIB // 2, 96 * GIB, 95 * GIB, True),
    ],
)
def test_what_firmware_sets_aside_is_no_part_of_the_ram(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, carve_out: int, gtt: int, free: int, shares: bool
) -> None:
    monkeypatch.setattr(pci, "SYS", tmp_path)
    divide(tmp_path, carve_out, gtt)
    (device,) = devices_of([APU])
    assert (device.free, device.shares_host_memory, device.kind) == (free, shares, Kind.IGPU)


@pytest.mark.parametrize(
    ("facts", "carve_out", "gtt", "said"),
    [
        (replace(APU, total=6 * GIB), 6 * GIB, 47 * GIB, "ROCm uses 6.0 GiB"),
        (replace(APU, total=48 * GIB), 48 * GIB, 43 * GIB, "48.0 GiB set aside and 43.0 GiB of RAM"),
        (replace(APU, total=96 * GIB), GIB // 2, 96 * GIB, ""),  # all but the carve-out
        (replace(APU, total=8 * GIB, backend="Vulkan"), 6 * GIB, 47 * GIB, ""),
        (replace(APU, total=8 * GIB, kind=Kind.GPU), 8 * GIB, 47 * GIB, ""),  # a card of its own
    ],
)
def test_vulkan_is_suggested_where_it_gives_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: DeviceFacts, carve_out: int, gtt: int, said: str
) -> None:
    monkeypatch.setattr(pci, "SYS", tmp_path)
    divide(tmp_path, carve_out, gtt)
    notes = probe(built(facts), 12e9).notes
    assert bool(notes) == bool(said)
    assert said in "".join(notes) and (not said or "--backend vulkan" in notes[0])


def test_without_the_drivers_files_all_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pci, "SYS", tmp_path)
    (device,) = devices_of([APU])
    assert device.shares_host_memory and device.free == APU.free and probe(built(APU), 12e9).notes == ()


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
