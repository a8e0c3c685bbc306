"""What is said of memory that ran out."""

from dataclasses import replace

import pytest

from runner.report.fallback import exhausted, fell_back
from runner.types.fallback import Exhausted, FellBack, Lower, Rung, Shrunk
from runner.types.machine import Holder, Lent
from runner.types.placement import Placement
from runner.types.plan import Candidate, MemoryRow, Source, Verdict
from runner.types.units import GIB
from tests.support.planner import gpu, machine

WHOLE = Placement(("CUDA0",), 33, 33, (33,), 131072)
ROWS = (
    MemoryRow("CUDA0", 5 * GIB, 16 * GIB, GIB, 0, 79 * GIB),
    MemoryRow("CPU", GIB, 0, 0, 0, 100 * GIB),
)
FIRST = Candidate("Q4_K_M", ("x.gguf",), 1, 4.8, 0, Verdict.GPU, WHOLE, ROWS, None, Source.FORMULA)
LOWER = replace(FIRST, quant="Q3_K_M", placement=replace(WHOLE, ctx=4096, kv_type="q8_0", ubatch=128))
NOW = machine(replace(gpu(79), free=6 * GIB), ram=100)
TAKEN = Shrunk("CUDA0", 79 * GIB, 6 * GIB, (Holder(77, "vllm", 70 * GIB), Holder(78, None, None)))
PLACED = "all 33 layers on CUDA0, 4k context in q8_0."


@pytest.mark.parametrize(
    ("rung", "how"),
    [
        (Rung.REPLAN, "as planned anew for what is free"),
        (Rung.MARGIN, "as planned anew with a larger margin"),
        (Rung.UBATCH, "with a ubatch of 128"),
        (Rung.KV_TYPE, "with a KV cache of q8_0"),
        (Rung.HOST, "with more of it on the CPU"),
        (Rung.CONTEXT, "with a context of 4k"),
        (Rung.QUANT, "with Q3_K_M"),
    ],
)
def test_what_runs_instead(rung: Rung, how: str) -> None:
    said = fell_back(FellBack(FIRST, Lower(rung, 0, LOWER), NOW, (), answering=False))
    free = "though 6.0 GiB on CUDA0 and 100.0 GiB of RAM is said to be free"
    assert said == f"Out of memory, {free}. It runs {how}: {PLACED}"


def test_who_lends_what_ran_out() -> None:
    lent = replace(gpu(79), lent=Lent("ssh:me@tower", "CUDA0", host="tower"))
    there = machine(lent, gpu(79, index=1), ram=100)
    said = fell_back(FellBack(FIRST, Lower(Rung.CONTEXT, 0, LOWER), there, (), answering=False))
    assert said.endswith(f": {PLACED} CUDA0 is lent by tower (ssh:me@tower).")
    assert exhausted(Exhausted((FIRST,), there, (), 0, None)).endswith(". CUDA0 is lent by tower (ssh:me@tower).")


def test_what_was_taken_and_by_whom() -> None:
    said = fell_back(FellBack(FIRST, Lower(Rung.REPLAN, 0, LOWER), NOW, (TAKEN,), answering=True))
    assert said == (
        "Out of memory while answering, as CUDA0 has 6.0 GiB free where the plan counted on 79.0 GiB, for vllm "
        "(process 77) holds 70.0 GiB and another program (process 78) holds some memory there. "
        f"The answer goes on as planned anew for what is free: {PLACED}"
    )
    ram = Shrunk("CPU", 20 * GIB, 2 * GIB)
    said = fell_back(FellBack(FIRST, Lower(Rung.REPLAN, 0, LOWER), NOW, (ram,), answering=False))
    assert "as RAM has 2.0 GiB free where the plan counted on 20.0 GiB. " in said


def test_when_nothing_is_left_to_try() -> None:
    what = Exhausted((FIRST, LOWER), NOW, (), 6 * GIB, None)
    said = (
        "2 placements ran out of memory, and nothing smaller is left to try. The last, Q3_K_M with all 33 layers on "
        "CUDA0, 4k context in q8_0, needs 22.0 GiB on CUDA0 and 1.0 GiB of RAM. Free now: 6.0 GiB on CUDA0 and 100.0 "
        "GiB of RAM, of which 6.0 GiB is left to other programs"
    )
    assert exhausted(what) == f"{said}."
    limit = "; a process may address no more than 8.0 GiB (ulimit -v)."
    assert exhausted(replace(what, address_limit=8 * GIB)) == said + limit
    assert exhausted(replace(what, shrunk=(TAKEN,))).startswith(f"{said}. CUDA0 has 6.0 GiB free where the plan ")
    assert exhausted(replace(what, tried=(LOWER,))).startswith("One placement ran out of memory, and nothing ")
