"""A model, a machine and a placement in words."""

from dataclasses import replace

import pytest

from runner.report.placement import expected, machine_facts, model_facts, where
from runner.types.machine import Kind, Lent
from runner.types.placement import Override, Placement
from runner.types.plan import (
    Candidate,
    MemoryRow,
    Predicted,
    Source,
    Verdict,
)
from runner.types.units import GIB, MIB
from scripts.draw.plans import LAPTOP, TWO_CARDS, expert_plan

BOTH = Placement(("CUDA0", "CUDA1"), 81, 81, (40, 41), 8192)
ONE = replace(BOTH, devices=("CUDA0",), tensor_split=(81,))
ALONE = replace(BOTH, devices=(), tensor_split=(), gpu_layers=0)
OVERRIDES = (Override("x", "CPU"),)


def candidate(placement: Placement | None = ONE, verdict: Verdict = Verdict.GPU) -> Candidate:
    row = MemoryRow("CPU", 2 * GIB, GIB, MIB, 0, 8 * GIB)
    speed = Predicted(12.34, 567.8, 2048)
    return Candidate("Q4_K_M", ("a",), 42_500_000_000, 4.8, 0, verdict, placement, (row,), speed, Source.FORMULA)


@pytest.mark.parametrize(
    ("placement", "verdict", "words"),
    [
        (ONE, Verdict.GPU, "all 81 layers on CUDA0, 8k context in f16"),
        (BOTH, Verdict.GPU, "all 81 layers on CUDA0 and CUDA1, 8k context in f16"),
        (replace(ALONE, kv_type="q8_0"), Verdict.CPU, "all 81 layers on the CPU, 8k context in q8_0"),
        (replace(ONE, gpu_layers=20, tensor_split=(20,)), Verdict.SPLIT, "20 of 81 layers on CUDA0, 8k context in f16"),
        (
            replace(ONE, overrides=OVERRIDES, experts_on_cpu=4),
            Verdict.SPLIT,
            "all 81 layers on CUDA0, experts of 4 in RAM, 8k context in f16",
        ),
        (
            replace(ONE, overrides=OVERRIDES, ffn_on_cpu=9, ctx=1000),
            Verdict.SPLIT,
            "all 81 layers on CUDA0, the FFN of 9 in RAM, 1,000 context in f16",
        ),
        (None, Verdict.NO, "does not run here"),
    ],
)
def test_where_a_candidate_goes(placement: Placement | None, verdict: Verdict, words: str) -> None:
    assert where(candidate(placement, verdict)) == words


def test_what_was_not_predicted_is_not_said() -> None:
    assert expected(replace(candidate(), predicted=None)) == ""


def test_a_model_and_a_machine() -> None:
    assert list(model_facts(expert_plan().model)) == [
        "141B parameters",
        "56 layers",
        "2 of 8 experts a token",
        "trained to 64k",
    ]
    assert list(machine_facts(TWO_CARDS)) == ["2 × RTX 3090 (23.3 GiB free each)", "Ryzen 9 5900X", "56.0 GiB of RAM"]
    assert list(machine_facts(replace(LAPTOP, cpu_name=""))) == ["18.0 GiB of RAM"]
    card = replace(TWO_CARDS.devices[0], kind=Kind.RPC)
    lent = [Lent("ssh:me@tower", "CUDA0", host="tower"), Lent("10.0.0.2:50052", "CUDA0")]
    plain = replace(card, name="10.0.0.3:1", lent=Lent("10.0.0.3:1", ""))
    others = replace(LAPTOP, cpu_name="", devices=(*(replace(card, lent=one) for one in lent), plain))
    assert list(machine_facts(others)) == [
        "18.0 GiB of RAM",
        "RTX 3090 of tower (23.3 GiB free)",
        "RTX 3090 of 10.0.0.2:50052 (23.3 GiB free)",
        "10.0.0.3:1 (23.3 GiB free)",
    ]
