"""What drivers leave of GPUs: the rule beside what was seen, and named hardware beside real cards."""

import pytest

from runner.hardware import visible_memory
from runner.hardware.described_group import parse_hardware
from runner.hardware.gpu_table import GpuModel, gpu_models
from runner.hardware.visible_memory import context_bytes, shared_bytes, visible_bytes
from runner.types.units import GIB, MIB

MODELS = {gpu.name: gpu for gpu in gpu_models()}

# MiB that llama.cpp, CUDA or PyTorch printed as the total under Linux: pasted logs in public issues and guides.
SEEN = [
    ("L20", 45457),
    ("A40 PCIe", 45465),  # PyTorch's users: 44.4 GiB
    ("GeForce RTX 5090", 32109),
    ("GeForce RTX 5090", 32202),
    ("GeForce RTX 5070 Ti", 15842),
    ("GeForce RTX 5060 Ti 16 GB", 15850),
    ("GeForce RTX 3060 12 GB", 11909),
    ("GeForce RTX 3050 6 GB", 5803),
    ("GeForce RTX 2060 12 GB", 11833),
    ("GeForce GTX 1660 Ti", 5747),
    ("GeForce GTX 1650", 3716),
    ("GeForce GTX 1080", 8107),
    ("GeForce GTX 1060 6 GB", 6063),
    ("Quadro RTX 5000", 15927),
    ("RTX A2000 Mobile", 3770),
    ("RTX A400", 3768),
    ("RTX PRO 6000 Blackwell Server", 97247),
    ("Radeon RX 7900 XT", 20464),
    ("Radeon RX 7900 XTX", 24560),
    ("Radeon RX 6700 XT", 12272),
    ("Radeon Pro VII", 16368),
    ("Arc B580", 12216),
]

# Text of --on, and GiB that are seen and free at best on the real card.
REAL = [
    ("h100-sxm-80gb", 81079 / 1024, 80552 / 1024),  # measured
    ("a100-sxm-80gb", 79.25, 78.9),  # 79.2 to 79.35; a log has 81222 of which 80798 are free
    ("rtx-3090", 23.69, 23.3),
    ("rtx-4090", 23.65, 23.26),
    ("v100-pcie-16gb", 15.77, None),
    ("t4", 14.75, None),
    ("l4", 22.2, None),
    ("l40s", 44.5, None),
    ("rtx-5090", 32149 / 1024, 31626 / 1024),
    ("p40", 24438 / 1024, 24290 / 1024),
    ("gtx-1080", 8107 / 1024, 7992 / 1024),
    ("gtx-1660-ti", 5747 / 1024, 5671 / 1024),
    ("radeon-ai-pro-r9700", 32624 / 1024, 32566 / 1024),
    ("rx-7900-xt", 20464 / 1024, 20404 / 1024),
]


@pytest.mark.parametrize(("name", "mib"), SEEN)
def test_within_a_hundredth_of_what_was_seen(name: str, mib: int) -> None:
    assert visible_bytes(MODELS[name]) == pytest.approx(mib * MIB, rel=0.01)


@pytest.mark.parametrize("name", [name for name in visible_memory.SEEN if name != "Tesla P40"])  # its ECC is off
def test_the_rule_alone_is_within_a_hundredth_of_the_table(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = visible_bytes(MODELS[name])
    monkeypatch.setattr(visible_memory, "SEEN", {})
    assert visible_bytes(MODELS[name]) == pytest.approx(seen, rel=0.01)


@pytest.mark.parametrize(("text", "total", "free"), REAL)
def test_named_hardware_is_what_the_real_card_has(text: str, total: float, free: float | None) -> None:
    (device,) = parse_hardware(text).devices
    assert device.total == pytest.approx(total * GIB, rel=0.01)
    if free is not None:
        assert device.free == pytest.approx(free * GIB, rel=0.01)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("H100 SXM5 80 GB", 527, 529),
        ("A100 SXM4 80 GB", 420, 440),
        ("Tesla V100 SXM2 32 GB", 390, 410),
        ("GeForce RTX 5090", 521, 562),
        ("RTX PRO 6000 Blackwell", 540, 610),
        ("GeForce RTX 4090", 380, 420),
        ("GeForce RTX 3090", 250, 330),
        ("GeForce RTX 4060 Ti 8 GB", 100, 115),
        ("GeForce GTX 1660 Ti", 70, 80),
        ("Tesla P40", 140, 155),
    ],
)
def test_the_context_costs_what_was_seen(name: str, low: int, high: int) -> None:
    assert low * MIB <= context_bytes(MODELS[name]) <= high * MIB


@pytest.mark.parametrize(
    ("name", "ram", "share"),
    [
        ("M4", 16, 10922.67 / 1024),  # a log: 11453.25 MB
        ("M1 Max", 32, 21845.34 / 1024),  # https://github.com/ggml-org/llama.cpp/pull/2011
        ("M2 Max", 64, 48.0),  # a log: 51539.61 MB
        ("M3 Max", 128, 96.0),
        ("GB10", 128, 124610 / 1024),
        ("Radeon 8060S", 128, 64.0),
    ],
)
def test_what_a_gpu_may_use_of_shared_memory(name: str, ram: int, share: float) -> None:
    assert shared_bytes(MODELS[name], ram * GIB) == pytest.approx(share * GIB, rel=0.01)


def test_a_size_that_is_written_is_taken_at_its_word() -> None:
    (device,) = parse_hardware("gpu=24g@1008gbps").devices
    assert (device.total, device.free) == (24 * GIB, 24 * GIB)
    assert visible_bytes(GpuModel("NVIDIA", "GPU", 5 * GIB, 1e11, None, None)) == 5 * GIB


def test_what_is_left_is_said_once_for_each_model() -> None:
    notes = parse_hardware("2xh100-sxm-80gb+rtx-4090,ram=64g@60gbps").notes
    assert notes == (
        "Of the 80.0 GiB of H100 SXM5 80 GB the driver leaves 78.7 GiB.",
        "Of the 24.0 GiB of GeForce RTX 4090 the driver leaves 23.2 GiB.",
    )
    assert parse_hardware("gpu=24g@1008gbps,ram=64g@60gbps").notes == ()
    assert parse_hardware("m2-ultra,ram=192g").notes == ("Of 192.0 GiB of memory M2 Ultra may use 144.0 GiB.",)
