"""Hardware by name, and sizes: tables of what people type."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import UsageError
from runner.hardware.described_group import parse_hardware
from runner.hardware.gpu_names import with_specs
from runner.types.machine import Device, Kind
from runner.types.units import GIB, MIB, gib, parse_size

NAMES = [
    # text, name, GiB, GB/s
    ("a100-sxm-80gb", "A100 SXM4 80 GB", 80, 2040),
    ("A100 SXM4 80GB", "A100 SXM4 80 GB", 80, 2040),
    ("nvidia a100-sxm4-40gb", "A100 SXM4 40 GB", 40, 1560),
    ("a100-pcie-80gb", "A100 PCIe 80 GB", 80, 1940),
    ("h100-sxm-80gb", "H100 SXM5 80 GB", 80, 3360),
    ("h100-pcie-80gb", "H100 PCIe 80 GB", 80, 2040),
    ("rtx-4090", "GeForce RTX 4090", 24, 1010),
    ("RTX4090", "GeForce RTX 4090", 24, 1010),
    ("4090", "GeForce RTX 4090", 24, 1010),
    ("NVIDIA GeForce RTX 4090", "GeForce RTX 4090", 24, 1010),
    ("rtx 4090 laptop", "GeForce RTX 4090 Mobile", 16, 576),
    ("rtx-4090-d", "GeForce RTX 4090 D", 24, 1010),
    ("rtx 4070 max-q", "GeForce RTX 4070 Max-Q", 8, 256),
    ("rtx-3080", "GeForce RTX 3080", 10, 760),
    ("rtx-3080-12gb", "GeForce RTX 3080 12 GB", 12, 912),
    ("rtx306012gb", "GeForce RTX 3060 12 GB", 12, 360),
    ("rtx-3060-ti", "GeForce RTX 3060 Ti", 8, 448),
    ("rtx-a6000", "RTX A6000", 48, 768),
    ("rtx-6000", "Quadro RTX 6000", 24, 672),
    ("rtx-6000-ada", "RTX 6000 Ada Generation", 48, 960),
    ("rtx-4000-ada", "RTX 4000 Ada Generation", 20, 360),
    ("rtx-4000-sff-ada", "RTX 4000 SFF Ada Generation", 20, 280),
    ("l40s", "L40S", 48, 864),
    ("t4", "Tesla T4", 16, 320),
    ("b200", "B200", 180, 8000),
    ("mi300x", "Radeon Instinct MI300X", 192, 5300),
    ("rx-7900-xtx", "Radeon RX 7900 XTX", 24, 960),
    ("arc b580", "Arc B580", 12, 456),
    ("gpu=24g@1008gbps", "GPU with 24.0 GiB", 24, 1008),
]


@pytest.mark.parametrize(("text", "name", "memory", "gbps"), NAMES)
def test_names(text: str, name: str, memory: int, gbps: float) -> None:
    machine = parse_hardware(text + ",ram=64g@60gbps")
    (device,) = machine.devices
    assert device.name == name
    assert 0.9 * memory * GIB < device.free <= device.total <= memory * GIB
    assert device.bandwidth == pytest.approx(gbps * 1e9, rel=0.002)
    assert not device.shares_host_memory and device.has_host_buffer
    assert machine.source == "named"
    assert all("the driver leaves" in note for note in machine.notes)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("2xrtx-3090", ["CUDA0", "CUDA1"]),
        ("2 x RTX 3090", ["CUDA0", "CUDA1"]),
        ("2xgpu=24g@936gbps", ["CUDA0", "CUDA1"]),
        ("rtx-4090+rtx-3090", ["CUDA0", "CUDA1"]),
        ("rtx-4090,2xrtx-3090", ["CUDA0", "CUDA1", "CUDA2"]),
        ("rtx-4090+rx-7900-xtx+arc-b580", ["CUDA0", "ROCm0", "Vulkan0"]),
        ("m2-ultra", ["MTL0"]),
        ("cpu", []),
    ],
)
def test_devices(text: str, ids: list[str]) -> None:
    assert [device.id for device in parse_hardware(text).devices] == ids


def test_nvidia_devices_carry_a_context_and_their_arithmetic() -> None:
    (device,) = parse_hardware("a100-sxm-80gb").devices
    assert device.overhead == 330 * MIB
    assert device.memory_type == "HBM2e"
    assert device.flops == pytest.approx(312e12, rel=0.01)  # as NVIDIA states it
    assert parse_hardware("rtx-3090").devices[0].flops == pytest.approx(142e12, rel=0.01)
    assert parse_hardware("h100-sxm-80gb").devices[0].flops == pytest.approx(989e12, rel=0.1)


@pytest.mark.parametrize(
    ("text", "ram", "gbps", "note"),
    [
        ("cpu,ram=32g", 32, 50, "50 GB/s"),
        ("cpu,ram=32g@80gbps", 32, 80, ""),
        ("rtx-4090", 64, 50, "64.0 GiB at 50 GB/s"),
        ("GPU=24G@1008GBPS, RAM=64GiB@60GBPS", 64, 60, ""),
        ("ram=16g@40gbps,gpu=8g@448gbps", 16, 40, ""),
    ],
)
def test_host_memory(text: str, ram: int, gbps: float, note: str) -> None:
    machine = parse_hardware(text)
    assert (machine.ram_total, machine.ram_available) == (ram * GIB, ram * GIB)
    assert machine.ram_bandwidth == gbps * 1e9
    assert note in "".join(machine.notes)
    assert bool(machine.notes) == bool(note)


def test_apple_shares_one_memory() -> None:
    machine = parse_hardware("m2-ultra,ram=192g")
    (device,) = machine.devices
    assert device.shares_host_memory and not device.has_host_buffer and device.kind is Kind.GPU
    assert (device.total, machine.ram_total) == (144 * GIB, 192 * GIB)
    assert device.bandwidth == machine.ram_bandwidth == 800e9


def test_integrated_graphics_read_the_hosts_memory() -> None:
    (device,) = parse_hardware("780m,ram=32g@80gbps").devices
    assert (device.kind, device.total, device.bandwidth) == (Kind.IGPU, 16 * GIB, 80e9)  # Linux maps half of it
    (spark,) = parse_hardware("dgx spark,ram=128g").devices
    assert spark.shares_host_memory and 121 * GIB < spark.total < 122 * GIB


def test_several_with_equal_memory_are_the_slowest_and_it_is_said() -> None:
    machine = parse_hardware("a100-80gb,ram=64g@60gbps")
    assert machine.devices[0].name == "A100 PCIe 80 GB"
    assert "A100 SXM4 80 GB" in machine.notes[0] and "slowest" in machine.notes[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a100", ["A100 PCIe 40 GB", "A100 SXM4 80 GB", "40.0 GiB", "80.0 GiB"]),
        ("h100-sxm", ["H100 SXM5 80 GB", "H100 SXM5 94 GB"]),
        ("rtx-3060", ["RTX 3060 12 GB", "RTX 3060 8 GB"]),
        ("rtx-4099", ["rtx-4099", "RTX 4090"]),
        ("rtx-4090-48gb", ["rtx-4090-48gb"]),
        ("m2-ultra-192gb", ["M2 Ultra"]),
        ("foo", ["gpu=24g@1008gbps"]),
        ("", ["rtx-4090,ram=64g"]),
        (",", ["rtx-4090,ram=64g"]),
        ("ram=32g", ["cpu,ram=32g"]),
        ("rtx-4090,,ram=3g", ["rtx-4090,ram=64g"]),
        ("rtx-4090,ram=3g,ram=4g", ["ram=64g"]),
        ("rtx-4090,ram=many", ["many", "64g"]),
        ("rtx-4090,ram=0", ["0"]),
        ("cpu,rtx-4090", ["cpu alone"]),
        ("2xcpu", ["cpu alone"]),
        ("0xrtx-4090", ["2xrtx-3090"]),
        ("17xrtx-4090", ["2xrtx-3090"]),
        ("9xrtx-4090+8xrtx-3090", ["17 devices"]),
        ("rtx-4090+", ["2xrtx-3090"]),
        ("2xm2-ultra", ["shares"]),
        ("m2-ultra+rtx-4090", ["shares"]),
        ("gpu=24g", ["gpu=24g@1008gbps"]),
        ("gpu=24g@0gbps", ["24g@1008gbps"]),
        ("gpu=24g@fast", ["24g"]),
        ("gpu=@100gbps", ["24g"]),
    ],
)
def test_what_is_not_understood_is_said(text: str, said: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse_hardware(text)
    message = str(caught.value)
    assert "\n" not in message
    for words in said:
        assert words in message


@settings(max_examples=60)
@given(st.text(alphabet="0123456789xgb@=+,-. rtacpumi漢", max_size=24))
def test_any_text_is_a_machine_or_a_usage_error(text: str) -> None:
    try:
        machine = parse_hardware(text)
    except UsageError:
        return
    assert machine.ram_total > 0
    assert all(device.bandwidth for device in machine.devices)


@pytest.mark.parametrize(
    ("name", "memory", "gbps", "kind"),
    [
        ("NVIDIA H100 80GB HBM3", 79.6, 3360, "HBM3"),
        ("NVIDIA H200 141GB HBM3e", 140.0, 4890, "HBM3e"),
        ("NVIDIA A100-SXM4-80GB", 79.3, 2040, "HBM2e"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 15.7, 576, "GDDR6"),
        ("NVIDIA GeForce RTX 3060", 11.8, 360, "GDDR6"),
        ("AMD Radeon RX 7900 XTX (RADV NAVI31)", 24.0, 960, "GDDR6"),
        ("Tesla T4", 14.6, 320, "GDDR6"),
        ("Some card of tomorrow", 24.0, None, None),
    ],
)
def test_what_a_driver_calls_a_card(name: str, memory: float, gbps: float | None, kind: str | None) -> None:
    size = round(memory * GIB)
    device = with_specs(Device("CUDA0", Kind.GPU, name, size, size))
    assert device.memory_type == kind
    assert device.bandwidth == (gbps and pytest.approx(gbps * 1e9, rel=0.002))
    assert (device.name, device.total) == (name, size)


def test_what_the_driver_says_itself_is_kept() -> None:
    device = with_specs(Device("CUDA0", Kind.GPU, "NVIDIA GeForce RTX 3090", 24 * GIB, 24 * GIB, bandwidth=1.0))
    assert device.bandwidth == 1.0 and device.memory_type == "GDDR6X"


# --- sizes ---


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64g", 64 * GIB),
        ("64GB", 64 * GIB),
        (" 1.5 GiB ", 3 * GIB // 2),
        ("512m", 512 * MIB),
        (".5g", GIB // 2),
        ("1T", 1024 * GIB),
        ("2kib", 2048),
        ("123", 123),
        ("100b", 100),
        ("0", 0),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "g", "-1g", "1e9", "64 gx", "1.2.3g", "٣g", "inf", "9999999999999t", "64g g"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


@given(st.integers(0, 1 << 50))
def test_a_number_is_bytes(size: int) -> None:
    assert parse_size(str(size)) == pytest.approx(size, rel=1e-15)


def test_sizes_on_screens() -> None:
    assert gib(40_000_000_000) == "37.3 GiB"
    assert gib(512 * MIB) == "512 MiB"
    assert gib(-3 * GIB) == "-3.0 GiB"
