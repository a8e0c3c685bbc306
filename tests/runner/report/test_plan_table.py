"""The plan as people see it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.weights import WeightFile, WeightSet
from runner.hardware.described_group import parse_hardware
from runner.planning.choose import Contender, choose
from runner.report.plan_table import WIDTH, plan_lines
from runner.report.sentences import why
from runner.types.plan import Plan, Verdict
from runner.types.reasons import Refused
from runner.types.wish import Wish
from tests.support.planner import shape

QUANTS = ("F16", "Q8_0", "Q4_K_M", "Q2_K")
MACHINES = ("cpu,ram=32g", "a100-sxm-80gb,ram=128g", "2xrtx-3090,ram=64g", "8xrtx-3090,ram=256g", "m2-ultra,ram=192g")


def planned(model: str, on: str, wish: Wish | None = None) -> Plan:
    shapes = {quant: shape(model, quant) for quant in QUANTS}
    options = [Contender(WeightSet(q, (WeightFile(f"{q}.gguf", s.bytes),)), s) for q, s in shapes.items()]
    return choose("the-model", options, parse_hardware(on), wish or Wish())


@pytest.mark.parametrize("on", MACHINES)
@pytest.mark.parametrize("model", ["llama-3.3-70b", "mixtral-8x22b"])
def test_it_fits_eighty_columns_and_names_every_candidate(model: str, on: str) -> None:
    plan = planned(model, on)
    lines = list(plan_lines(plan))
    assert max(map(len, lines)) <= WIDTH
    rows = [line for line in lines if line[:2] in ("> ", "  ") and line[2:].split(" ")[0] in QUANTS]
    assert len(rows) == len(QUANTS)
    marked = [line for line in rows if line.startswith(">")]
    assert len(marked) == (plan.chosen is not None)
    assert why(plan) in " ".join(lines)


def test_it_says_what_the_gpu_lacks_and_why_something_does_not_run() -> None:
    text = "\n".join(plan_lines(planned("mixtral-8x22b", "a100-sxm-80gb,ram=128g")))
    assert "GPU lacks" in text and "does not fit" in text
    assert "F16: Needs" in text and "too little" in text
    assert "experts of 4 of 56 layers" in text


def test_equal_devices_are_one_phrase() -> None:
    text = " ".join(plan_lines(planned("llama-3.3-70b", MACHINES[3])))
    assert "8 × RTX 3090 (23.3 GiB free each)" in text


def test_what_llama_cpp_refuses_is_no_matter_of_memory() -> None:
    plan = planned("llama-3.1-8b", "gpu=24g@1008gbps,ram=64g")
    refused = [replace(one, verdict=Verdict.NO, reasons=(Refused("no such thing"),)) for one in plan.candidates]
    text = "\n".join(plan_lines(replace(plan, candidates=tuple(refused), chosen=None)))
    assert "refused" in text and "does not fit" not in text
