"""The speed model against published measurements, and what must hold for any hardware."""

import statistics
from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.cost.speed import GDDR, HBM, UNIFIED, Work, decode_tps, memory_of, prefill_tps
from runner.hardware.bandwidth import measure_bandwidth
from runner.hardware.described import parse_hardware
from runner.types.machine import Device, Kind, Machine
from scripts.checks import fit_speed

GB = 1e9
LLAMA_8B = fit_speed.published().models["8B Q4_K_M"]


def gpu(bandwidth: float = 1000 * GB, **fields: object) -> Device:
    device = Device("CUDA0", Kind.GPU, "GPU", 24 << 30, 24 << 30, bandwidth, has_host_buffer=True)
    return replace(device, **fields)  # type: ignore[arg-type]


def host(bandwidth: float | None = 50 * GB, cores: int = 8, source: str = "probe") -> Machine:
    return Machine(source, (), 64 << 30, 64 << 30, bandwidth, cores)


def work(device: Device | None, share: float = 1.0, kv: float = 0.0) -> Work:
    """A share of an 8B at Q4_K_M."""
    m = LLAMA_8B
    return Work(device, m.bytes * share, m.weights * share, kv * share, m.bytes * share, m.layers * share)


# --- published measurements ---


def test_decode_error_on_published_tables() -> None:
    rows = fit_speed.published().fitted
    sizes = [abs(error) for error in fit_speed.errors(rows)]
    assert len(sizes) > 350
    assert {row.devices for row in rows} == {1, 2, 4, 6, 8}
    assert statistics.median(sizes) <= 0.08
    assert fit_speed.percentile(sizes, 0.9) <= 0.20


@pytest.mark.parametrize("model", ["8B Q4_K_M", "8B F16", "70B Q4_K_M", "70B F16"])
@pytest.mark.parametrize("several", [False, True])
def test_no_model_or_device_count_is_left_behind(model: str, several: bool) -> None:
    rows = [row for row in fit_speed.published().fitted if row.model == model and (row.devices > 1) == several]
    sizes = [abs(error) for error in fit_speed.errors(rows)]
    assert statistics.median(sizes) <= 0.08
    assert fit_speed.percentile(sizes, 0.8) <= 0.20


def test_graphics_and_server_cards_are_both_met() -> None:
    """The M1 Max of 2024, slower than its bandwidth by half, is the one GPU that the model misses."""
    by_gpu = defaultdict(list)
    for row in fit_speed.published().fitted:
        if row.devices == 1:
            by_gpu[row.hardware].append(abs(fit_speed.predict(row) / row.tps - 1))
    missed = [name for name, sizes in by_gpu.items() if statistics.median(sizes) > 0.20]
    assert missed == ["m1-max,ram=64g"]


def test_later_builds_and_cpus_agree() -> None:
    sizes = [abs(fit_speed.predict(row, cores) / row.tps - 1) for row, cores in fit_speed.published().checks]
    assert statistics.median(sizes) <= 0.08
    assert max(sizes) <= 0.25


def test_prefill_error_on_published_tables() -> None:
    sizes = [abs(error) for error in fit_speed.errors(fit_speed.published().prefill)]
    assert statistics.median(sizes) <= 0.20


def test_every_row_names_a_source() -> None:
    import tomllib

    data = tomllib.loads(fit_speed.DATA.read_text(encoding="utf-8"))
    for table in (*data["tables"], *data["checks"]):
        assert data["sources"][table["source"]]["url"].startswith("https://")


# --- by hand ---


def test_decode_is_bytes_over_bandwidth_plus_layers() -> None:
    seconds = LLAMA_8B.bytes * GDDR.slowdown / (1000 * GB) + 32 * GDDR.layer
    assert decode_tps([work(gpu())], host()) == pytest.approx(1 / seconds)


def test_host_bandwidth_probed_is_reached_and_named_is_a_peak() -> None:
    on_cpu = [work(None)]
    probed, named = decode_tps(on_cpu, host(cores=64)), decode_tps(on_cpu, host(cores=64, source="named"))
    assert 0.75 < named / probed < 0.85


def test_small_model_on_few_cores_is_bound_by_arithmetic() -> None:
    """SmolLM2-135M, Q4_1, on one or two cores of a machine that reads 17 and 24 GB/s: 141 and 170 tok/s."""
    smol = Work(None, 96e6, 134.5e6, layers=30)
    assert decode_tps([smol], host(17 * GB, cores=1)) == pytest.approx(141, rel=0.25)
    assert decode_tps([smol], host(24 * GB, cores=2)) == pytest.approx(170, rel=0.15)
    assert decode_tps([smol], host(1000 * GB, cores=2)) < 400


def test_experts_on_the_cpu() -> None:
    """Qwen3-30B-A3B Q4_K_M, experts of 36 of 48 layers in quad-channel DDR4, the rest on an RTX 2080: 36.7 tok/s."""
    device = gpu(448 * GB, memory_type="GDDR6")
    split = [Work(device, 1.04e9, 1.68e9, layers=30), Work(None, 0.81e9, 1.36e9, layers=18)]
    assert decode_tps(split, host(102 * GB, 10, "named"), splits=74) == pytest.approx(36.7, rel=0.1)


def test_long_prompts_copy_host_weights_to_the_gpu() -> None:
    """Mixtral, 19 GiB, all weights on the host, 1024 tokens at once: 242 tok/s; half the batch, half the speed."""
    mixtral = [Work(None, 5.4e9, 12.9e9, stored_bytes=20.4e9, layers=32), Work(gpu(flops=160e12), 0, 0)]
    assert prefill_tps(mixtral, host(), 1024, 1024) == pytest.approx(242, rel=0.2)
    assert prefill_tps(mixtral, host(), 1024, 512) == pytest.approx(130, rel=0.2)
    without = replace(gpu(), has_host_buffer=False)
    alone = prefill_tps([mixtral[0], Work(without, 0, 0)], host(), 1024, 1024)
    assert alone == prefill_tps([mixtral[0]], host(), 1024, 1024)


@pytest.mark.parametrize(
    ("name", "memory"),
    [("rtx-4090", GDDR), ("h100-pcie-80gb", HBM), ("mi300x", HBM), ("m2-max", UNIFIED), ("strix halo", UNIFIED)],
)
def test_kind_of_memory(name: str, memory: object) -> None:
    assert memory_of(parse_hardware(name).devices[0]) is memory


def test_unknown_bandwidth_is_no_faster_than_the_host() -> None:
    unknown = replace(gpu(), bandwidth=None)
    assert decode_tps([work(unknown)], host()) <= decode_tps([work(gpu(50 * GB))], host())
    assert decode_tps([work(None)], host(None)) > 0


# --- for any hardware ---

bandwidths = st.floats(10 * GB, 8000 * GB)
shares = st.floats(0, 1)


@given(bandwidths, bandwidths, shares)
def test_more_bandwidth_is_never_slower(a: float, b: float, share: float) -> None:
    slow, fast = min(a, b), max(a, b)

    def tps(bandwidth: float) -> float:
        return decode_tps([work(gpu(bandwidth), share), work(None, 1 - share)], host())

    assert tps(fast) >= tps(slow)


@given(shares, shares, st.integers(2, 128))
def test_more_on_a_faster_gpu_is_never_slower(a: float, b: float, cores: int) -> None:
    less, more = min(a, b), max(a, b)

    def tps(share: float) -> float:
        return decode_tps([work(gpu(), share), work(None, 1 - share)], host(100 * GB, cores))

    assert tps(more) >= tps(less) * (1 - 1e-9)


@given(st.floats(0, 1e11), st.floats(0, 1e11), st.integers(1, 200), st.integers(1, 200))
def test_depth_and_splits_cost(kv_a: float, kv_b: float, splits_a: int, splits_b: int) -> None:
    few, many = sorted((splits_a, splits_b))
    shallow, deep = sorted((kv_a, kv_b))
    assert decode_tps([work(gpu(), kv=deep)], host(), many) <= decode_tps([work(gpu(), kv=shallow)], host(), few)


@given(shares, st.integers(1, 4096), st.integers(1, 2048))
def test_speeds_are_finite_and_positive(share: float, tokens: int, ubatch: int) -> None:
    parts = [work(gpu(), share), work(None, 1 - share)]
    assert 0 < prefill_tps(parts, host(), tokens, ubatch) < 1e9
    assert 0 < decode_tps(parts, host()) < 1e9
    assert decode_tps([], host()) > 0


# --- the probe ---


def test_bandwidth_of_this_computer() -> None:
    """Slower than a fifth of a GB/s or faster than any CPU would be a broken probe."""
    assert 0.2 * GB < measure_bandwidth(2) < 5000 * GB
    assert measure_bandwidth(0) > 0
