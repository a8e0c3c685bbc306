"""Bytes per device: exact where llama.cpp's rules are exact, within 1 % where they are formulas."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import UsageError
from models.headers.shape import LayerMemory, ModelShape, Role, Tensor
from runner.client.process import EngineProcess
from runner.cost.blocks import blocks_of
from runner.cost.compute_buffers import compute_bytes
from runner.cost.kv import ContextSettings, caches_of
from runner.cost.laid_out import layout_of, ledger
from runner.cost.layout import HOST, Layout, contiguous, number_patterns, overrides_of
from runner.cost.ledger import Rehearsed, host_reserve, measured, reserve, rows, shortages
from runner.types.commands import Rehearse, StandIns
from runner.types.engine import ComponentBytes
from runner.types.machine import Device, Kind
from runner.types.placement import Override, Placement
from runner.types.plan import Source
from runner.types.units import GIB, MIB
from scripts.synthetic.headers import make
from tests.support.planner import gpu, machine, shape


def tiny(**changes: object) -> ModelShape:
    """Two layers with tied embeddings and rope factors, in round numbers."""
    tensors = (
        Tensor("token_embd.weight", Role.EMBEDDING, None, 1000, "F16", 500, mirrored=True),
        Tensor("rope_freqs.weight", Role.OTHER, 0, 8, "F32", 2, mirrored=True),
        *(
            tensor
            for layer in range(2)
            for tensor in (
                Tensor(f"blk.{layer}.attn_q.weight", Role.ATTENTION, layer, 100, "F16", 50),
                Tensor(f"blk.{layer}.ffn_up.weight", Role.FFN, layer, 300, "F16", 150),
                Tensor(f"blk.{layer}.ffn_up.bias", Role.FFN, layer, 4, "F32", 1),
            )
        ),
        Tensor("blk.2.nextn.weight", Role.OTHER, 1, 7777, "F16", 3, unused=True),
        Tensor("output_norm.weight", Role.NORM, 2, 20, "F32", 5),
    )
    plain = ModelShape(
        arch="llama",
        name="tiny",
        parameters=905,
        layers=2,
        context_trained=4096,
        vocabulary=100,
        embedding=64,
        feed_forward=128,
        attention_width=64,
        experts=0,
        experts_used=0,
        expert_feed_forward=0,
        kv_same_type=False,
        tensors=tensors,
        memory=(LayerMemory(32, 32), LayerMemory(32, 32, window=512)),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ((HOST, HOST, HOST), {"CPU": 1000 + 2 * 404 + 8 + 20}),  # one copy of the embeddings
        ((HOST, HOST, 0), {"CPU": 1000 + 2 * 404 + 8, "CUDA0": 1020}),
        ((HOST, 0, 0), {"CPU": 1000 + 404 + 8, "CUDA0": 404 + 8 + 1020}),
        ((0, 0, 0), {"CPU": 1000, "CUDA0": 2 * 404 + 8 + 1020}),
        ((0, 1, 1), {"CPU": 1000, "CUDA0": 404 + 8, "CUDA1": 404 + 8 + 1020}),
    ],
)
def test_weights_are_where_their_layers_are(layers: tuple[int, ...], expected: dict[str, int]) -> None:
    devices = (gpu(1), gpu(1, index=1))[: max(layers) + 1]
    lines = rows(blocks_of(tiny()), Layout(devices, layers), ContextSettings(512), machine(*devices))
    assert {line.device: line.weights for line in lines} == expected


def test_moved_parts_take_their_biases_along_but_not_the_cache() -> None:
    device = gpu(1)
    layout = Layout((device,), (0, 0, 0), {(1, "ffn_up"): HOST})
    on_device, host = rows(blocks_of(tiny()), layout, ContextSettings(512), machine(device))
    assert host.weights == 1000 + 304
    assert host.kv == 0
    assert on_device.weights == 404 + 100 + 8 + 1020


@pytest.mark.parametrize(
    ("settings", "full", "windowed"),
    [
        (ContextSettings(512), 512 * 128, 512 * 128),
        (ContextSettings(1000), 1024 * 128, 1024 * 128),  # padded; 512 + ubatch is no less
        (ContextSettings(4096), 4096 * 128, 1024 * 128),
        (ContextSettings(4096, ubatch=256), 4096 * 128, 768 * 128),
        (ContextSettings(4096, sequences=4), 4096 * 128, 2560 * 128),
        (ContextSettings(4096, kv_type="q8_0"), 4096 * 68, 1024 * 68),
        (ContextSettings(4096, kv_type="q4_0"), 4096 * 36, 1024 * 36),
        (ContextSettings(4096, kv_type="f32"), 4096 * 256, 1024 * 256),
    ],
)
def test_kv_cache(settings: ContextSettings, full: int, windowed: int) -> None:
    assert caches_of(tiny()).held(settings) == [full, windowed]


def test_recurrent_state_grows_with_sequences_only() -> None:
    caches = caches_of(tiny(memory=(LayerMemory(0, 0, state_values=10), LayerMemory(32, 32))))
    assert caches.held(ContextSettings(256)) == [40, 256 * 128]
    assert caches.held(ContextSettings(8192, kv_type="q8_0", sequences=3)) == [120, 8192 * 68]


def test_reading_stops_at_the_window() -> None:
    assert caches_of(tiny()).read(ContextSettings(4096), 2048) == [2048 * 128, 512 * 128]


def test_a_cache_of_unknown_type_is_refused() -> None:
    with pytest.raises(UsageError, match=r"q6_K.*choose one of f16, q8_0"):
        caches_of(tiny()).held(ContextSettings(512, kv_type="q6_K"))


# MiB on the device, all outputs or one, and on the host: llama.cpp's own numbers at 8192 tokens, ubatch 512
@pytest.mark.parametrize(
    ("model", "outputs", "device", "host"),
    [
        ("llama-3.1-8b", 512, 258.5, 24),
        ("llama-3.1-8b", 1, 116, 24),
        ("llama-3.3-70b", 1, 224, 40),
        ("gemma-3-27b", 1, 164.5, 31),
        ("qwen3-30b-a3b", 1, 92, 16),
        ("mixtral-8x7b", 1, 200, 24),
        ("mixtral-8x22b", 1, 236, 32),
    ],
)
def test_compute_buffers(model: str, outputs: int, device: float, host: float) -> None:
    blocks = blocks_of(shape(model))
    layout = contiguous((gpu(999),), (len(blocks.layers),), len(blocks.layers))
    compute = compute_bytes(blocks, layout, ContextSettings(8192, outputs=outputs))
    assert compute[0] / MIB == pytest.approx(device, rel=0.016)  # gemma-3: one window more than it needs
    assert compute[HOST] / MIB == pytest.approx(host, abs=0.6)


def test_pipelining_takes_four_copies_of_the_inputs_unless_an_override_forbids_it() -> None:
    blocks = blocks_of(shape("llama-3.3-70b"))
    both = contiguous((gpu(99), gpu(99, index=1)), (41, 40), 81)
    pipelined = compute_bytes(blocks, both, ContextSettings(8192))
    assert [round(pipelined[index] / MIB) for index in range(2)] == [312, 312]
    in_turn = compute_bytes(blocks, replace(both, sequential=True), ContextSettings(8192))
    assert [in_turn[index] for index in range(2)] == [224 * MIB, 224 * MIB]


def test_a_gpu_needs_scratch_for_the_hosts_weights() -> None:
    blocks = blocks_of(shape("llama-3.3-70b"))
    split = contiguous((gpu(24), gpu(24, index=1)), (20, 20), 81)
    with_scratch = compute_bytes(blocks, split, ContextSettings(8192))
    assert [with_scratch[index] for index in range(2)] == [208 * MIB + blocks.largest, 208 * MIB]


# ---- patterns


@pytest.mark.parametrize(
    ("numbers", "patterns"),
    [
        ([7], ["7"]),
        (range(7, 32), ["[7-9]", "[1-2][0-9]", "3[0-1]"]),
        ([0, 2, 4], ["[024]"]),
        (range(95, 112), ["9[5-9]", "10[0-9]", "11[0-1]"]),
        ([], []),
    ],
)
def test_number_patterns(numbers: list[int], patterns: list[str]) -> None:
    assert number_patterns(numbers) == patterns


def test_overrides_say_exactly_what_moved() -> None:
    model = blocks_of(shape("mixtral-8x22b"))
    devices = (gpu(40), gpu(24, index=1))
    stems = sorted(model.layers[0].movable)
    moved = {(layer, stem): HOST for layer in range(12) for stem in stems}
    moved |= {(12, stems[0]): HOST, (12, stems[1]): 1, (30, stems[2]): 0}
    layout = replace(contiguous(devices, (30, 27), 57), moved=moved)
    overrides = overrides_of(layout)
    assert len(overrides) == 4
    assert layout_of(model, devices, (30, 27), overrides) == layout


def test_an_idle_override_is_read_back_as_sequential() -> None:
    model = blocks_of(shape("llama-3.1-8b"))
    layout = replace(contiguous((gpu(9), gpu(9, index=1)), (17, 16), 33), sequential=True)
    (idle,) = overrides_of(layout)
    assert layout_of(model, layout.devices, layout.counts, (idle,)) == layout
    assert layout_of(model, layout.devices, layout.counts, ()) == replace(layout, sequential=False)


# ---- margins


@pytest.mark.parametrize(
    ("margin", "overhead", "kept"),
    [(None, 0, 1024), (None, 330, 1024), (None, 900, 1156), (0, 0, 256), (0, 330, 586), (4096, 330, 4096)],
)
def test_overhead_is_charged_against_the_margin(margin: int | None, overhead: int, kept: int) -> None:
    device = replace(gpu(24), overhead=overhead * MIB)
    assert reserve(device, None if margin is None else margin * MIB) == kept * MIB


@pytest.mark.parametrize(("ram", "kept"), [(8, 1), (20, 1), (128, 6.4)])
def test_the_host_keeps_a_twentieth(ram: float, kept: float) -> None:
    assert host_reserve(machine(ram=ram)) == pytest.approx(kept * GIB)


def test_shortages_name_who_is_overdrawn_and_by_how_much() -> None:
    blocks = blocks_of(tiny())
    there = machine(replace(gpu(1), free=1 * GIB + 1000, overhead=0), ram=1)
    layout = Layout(there.devices, (0, 0, 0))
    lines = rows(blocks, layout, ContextSettings(512), there)
    used = lines[0].weights + lines[0].kv + lines[0].compute
    assert shortages(lines, layout, there, None) == {"CUDA0": used - 1000, "CPU": lines[-1].total}


def test_memory_that_is_shared_counts_once() -> None:
    metal = Device("MTL0", Kind.GPU, "M", 12 * GIB, 12 * GIB, 100e9, shares_host_memory=True)
    there = machine(metal, ram=16)
    on_metal, host = rows(blocks_of(tiny()), Layout((metal,), (0, 0, 0)), ContextSettings(512), there)
    assert host.free == 16 * GIB - on_metal.total


# ---- rehearsals


def test_a_rehearsal_replaces_our_numbers_and_a_stand_in_lacks_the_scratch() -> None:
    there = machine(gpu(24))
    blocks = blocks_of(tiny())
    layout = Layout(there.devices, (HOST, 0, 0))
    ours = rows(blocks, layout, ContextSettings(512), there)
    memory = (ComponentBytes("CUDA0", 1, 2, 3), ComponentBytes("CPU", 4, 5, 6))
    for source, scratch in ((Source.REHEARSAL, 0), (Source.STAND_IN, blocks.largest)):
        device, host = measured(ours, Rehearsed(memory, source), layout, blocks)
        assert (device.weights, device.kv, device.compute) == (1, 2, 3 + scratch)
        assert (host.weights, host.kv, host.compute, host.free) == (4, 5, 6, ours[-1].free)


EXPERTS = (Override(r"^blk\.([0-9]|1[0-2])\.(ffn_down_exps|ffn_up_exps)\.", "CPU"),)


@pytest.mark.parametrize(
    ("model", "counts", "kv_type", "ctx", "overrides"),
    [
        ("llama-3.3-70b", (40, 41), "f16", 4096, ()),
        ("gemma-3-27b", (20,), "q8_0", 32768, ()),
        ("mixtral-8x22b", (20, 37), "f16", 8192, EXPERTS),
        ("deepseek-v2-lite", (28,), "f16", 8192, EXPERTS),
        ("granite-4.0-h-tiny", (), "f16", 8192, ()),
    ],
)
def test_agrees_with_llama_cpp(
    child: EngineProcess,
    tmp_path: Path,
    model: str,
    counts: tuple[int, ...],
    kv_type: str,
    ctx: int,
    overrides: tuple[Override, ...],
) -> None:
    """Weights and KV to the byte, and all together within 1 %, on every device."""
    names = child.ask(StandIns(2))[: len(counts)]
    devices = tuple(Device(name, Kind.RPC, "stand-in", 500 * GIB, 500 * GIB, 1e12) for name in names)
    placement = Placement(
        names, sum(counts), shape(model).layers + 1, counts, ctx, kv_type, overrides, load_mode="none"
    )
    (path,) = make(model, "Q4_K_M", tmp_path, tokenizer="none")
    (said,) = child.ask(Rehearse(str(path), (placement,)))
    for row in ledger(shape(model), machine(*devices, ram=500), placement):
        (real,) = (one for one in said.memory or () if one.device == row.device)
        assert (row.weights, row.kv) == (real.weights, real.kv)
        assert row.compute - real.compute == pytest.approx(
            0, abs=0.01 * (row.weights + row.kv + real.compute) + 2 * MIB
        )
