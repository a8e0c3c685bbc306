"""llama.cpp's --fit as a yardstick: what llama-fit-params prints, how it is asked, and the same rule on our ledger."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import EngineError
from runner.cost.laid_out import ledger
from runner.cost.ledger import reserve
from runner.types.machine import Kind, Machine
from runner.types.placement import Override, Placement
from runner.types.units import GIB
from runner.types.wish import Wish
from scripts.checks.acceptance.yardstick import by_rule, by_tool, placement_of
from tests.support.planner import gpu, machine, shape

# Printed by llama-fit-params of the pinned llama.cpp for Qwen3-30B-A3B and Llama-3.1-8B (the first one shortened).
EXPERTS = (
    r'-c 4096 -ngl 49 -ot "blk\.30\.ffn_down.*=CPU,blk\.31\.ffn_(up|down|gate_up|gate)_(ch|)exps=CPU,'
    r'blk\.32\.ffn_(up|down|gate_up|gate)_(ch|)exps=CPU"'
)
OURS = Placement(("CUDA0",), 20, 33, (20,), 4096, threads=3, load_mode="none", ffn_on_cpu=4)


@pytest.mark.parametrize(
    ("said", "devices", "split"),
    [
        ("-c 4096 -ngl -1\n", ["CUDA0"], [33]),
        ("-c 4096 -ngl 999\n", ["CUDA0"], [33]),
        ("-c 4096 -ngl 18\n", ["CUDA0"], [18]),
        ("noise\n-c 4096 -ngl 18\n", ["CUDA0"], [18]),
        ("-c 4096 -ngl 0\n", [], []),
    ],
)
def test_layers_of_one_device(said: str, devices: list[str], split: list[int]) -> None:
    fit = placement_of(said, OURS, [gpu(8)])
    assert (list(fit.devices), list(fit.tensor_split), fit.gpu_layers) == (devices, split, sum(split))
    assert (fit.ctx, fit.overrides, fit.threads, fit.load_mode) == (4096, (), OURS.threads, "mmap")


def test_layers_of_several_devices() -> None:
    devices = [gpu(8, index=0), gpu(24, index=1)]
    fit = placement_of("-c 8192 -ngl 30 -ts 8,22", OURS, devices)
    assert (fit.ctx, fit.devices, fit.tensor_split) == (8192, ("CUDA0", "CUDA1"), (8, 22))
    alone = placement_of("-c 4096 -ngl 30 -ts 0,30", OURS, devices)
    assert (alone.devices, alone.tensor_split) == (("CUDA1",), (30,))
    by_memory = placement_of("-c 4096 -ngl -1", OURS, devices)
    assert by_memory.tensor_split == (9, 24)


def test_overrides_keep_their_backslashes_and_name_devices() -> None:
    fit = placement_of(EXPERTS, replace(OURS, layers_total=49), [gpu(8)])
    assert fit.gpu_layers == 49
    assert fit.overrides[0] == Override(r"blk\.30\.ffn_down.*", "CPU")
    assert re.search(fit.overrides[1].pattern, "blk.31.ffn_gate_exps.weight")
    rpc = placement_of(r'-c 4096 -ngl 33 -ot "blk\.1\.ffn_down.*=RPC1[10.0.0.2:50052]"', OURS, [gpu(8)])
    assert rpc.overrides == (Override(r"blk\.1\.ffn_down.*", "RPC1"),)


@pytest.mark.parametrize("said", ["", "\n", "error: failed", "-c 4096", "-c x -ngl 3", "-ngl 3", '-c 1 -ngl 3 -ot "x'])
def test_anything_else_is_one_clear_sentence(said: str) -> None:
    with pytest.raises(EngineError, match=r"^llama-fit-params printed no options"):
        placement_of(said, OURS, [gpu(8)])


def program(path: Path, code: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(0o755)
    return path


def test_the_tool_is_told_what_has_to_stay_free(tmp_path: Path) -> None:
    said = tmp_path / "said"
    code = f"import sys; open({str(said)!r}, 'w').write(' '.join(sys.argv[1:])); print('-c 4096 -ngl 7')"
    tool = program(tmp_path / "llama-fit-params", code)
    there = machine(gpu(24, index=0), gpu(12, index=1))
    fit = by_tool(tool, tmp_path / "x.gguf", OURS, there, Wish(devices=("CUDA0",), vram_limit=8 * GIB))
    assert fit.tensor_split == (7,)
    # 24 GiB less the 7 that may be used: the limit less the margin of 1 GiB.
    assert said.read_text() == (
        f"-m {tmp_path}/x.gguf -c 4096 -ub 512 -b 512 -ctk f16 -ctv f16 -dev CUDA0 -fitt {17 * 1024}"
    )
    by_tool(tool, tmp_path / "x.gguf", OURS, there, Wish(rpc=("a:1", "b:2")))
    assert said.read_text().endswith("-ctv f16 --rpc a:1,b:2 -dev CUDA0,CUDA1 -fitt 1024,1024")


@pytest.mark.parametrize("code", ["import sys; sys.exit('no such device')", None])
def test_a_tool_that_fails_is_one_sentence(tmp_path: Path, code: str | None) -> None:
    tool = tmp_path / "tool"
    if code is not None:
        program(tool, code)
    with pytest.raises(EngineError, match=r"failed: no such device|cannot be run: No such file"):
        by_tool(tool, tmp_path / "x.gguf", OURS, machine(gpu(8)), Wish())


@pytest.mark.parametrize("model", ["llama-3.1-8b", "qwen3-30b-a3b"])
@pytest.mark.parametrize("limit", [2, 4, 5, 40])
def test_the_rule_keeps_to_the_limit(model: str, limit: int) -> None:
    there = machine(gpu(80))
    wish = Wish(ctx=4096, vram_limit=limit * GIB)
    total = shape(model).layers + 1
    fit = by_rule(shape(model), replace(OURS, layers_total=total), there, wish)
    rows = ledger(shape(model), there, fit)
    taken = sum(row.weights + row.kv + row.compute for row in rows[:-1])
    assert taken <= limit * GIB - reserve(there.devices[0], None)
    assert fit.gpu_layers == total if limit == 40 else bool(fit.overrides) or fit.gpu_layers < total
    assert _next_would_not_fit(model, there, fit, limit) or limit == 40


def _next_would_not_fit(model: str, there: Machine, fit: Placement, limit: int) -> bool:
    """Whether one whole layer more overdraws the limit (of a model without experts)."""
    if fit.overrides or fit.gpu_layers == fit.layers_total:
        return True
    device = there.devices[0]
    assert device.kind is Kind.GPU
    count = fit.gpu_layers + 1
    more = replace(fit, gpu_layers=count, tensor_split=(count,), devices=(device.id,))
    row = ledger(shape(model), there, more)[0]
    return row.weights + row.kv + row.compute > limit * GIB - reserve(device, None)
