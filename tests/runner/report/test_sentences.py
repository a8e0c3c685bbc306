"""Every reason in the words that people read."""

from dataclasses import replace

import pytest

from runner.report.sentences import before_load, sentence, summary, what_costs, why
from runner.types.reasons import (
    BestAt,
    Better,
    BeyondTrained,
    Faster,
    FastestWith,
    FromHistory,
    LargestThatRuns,
    LayersThatFit,
    LessThanTrained,
    Longer,
    Lowered,
    MostOnDevices,
    NoDevices,
    NoneRuns,
    Noted,
    NothingFits,
    OnHost,
    OnlyOne,
    Overdrawn,
    Reason,
    Refused,
    SharedLimit,
    Spilled,
    Taken,
    WeightsThatFit,
    Why,
    WouldFitWith,
)
from runner.types.units import GIB, MIB
from scripts.draw.plans import large_plan

LAYERS = OnHost(9, 81, 0, 80, experts=False)
EXPERTS = OnHost(0, 57, 4, 56, experts=True)
FFN = OnHost(0, 33, 1, 32, experts=False)
BOTH = OnHost(2, 33, 1, 32, experts=False)
ALLOWED = "lets the GPU use 10.7 GiB of 16.0 GiB"
MOST = "A context of 8k is the most with everything on the GPU; "


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Refused("head size 80"), "llama.cpp refuses it: head size 80"),
        (Overdrawn("CUDA0", 8 * GIB), "CUDA0 is overdrawn by 8.0 GiB (the margin included)."),
        (Overdrawn("CPU", 512 * MIB), "RAM is overdrawn by 512 MiB (the margin included)."),
        (LayersThatFit(44), "--gpu-layers 44 would fit."),
        (LayersThatFit(0), "Not one layer would fit there."),
        (NoDevices(), "There is no GPU to put layers on; --gpu-layers changes nothing."),
        (Spilled(LAYERS, 3.14), "9 of 81 layers are on the CPU: about 3.1x slower than with everything on the GPU."),
        (Spilled(EXPERTS, 1.04), "The experts of 4 of 56 layers are on the CPU."),
        (Spilled(FFN, 1.0), "The FFN of 1 of 32 layers is on the CPU."),
        (Spilled(BOTH, 1.0), "2 of 33 layers and the FFN of 1 of 32 layers are on the CPU."),
        (WouldFitWith(5 * GIB, None), "5.0 GiB more GPU memory would fit all of it."),
        (WouldFitWith(5 * GIB, 1280), "5.0 GiB more GPU memory, or a context of 1.25k would fit all of it."),
        (
            SharedLimit(32 * GIB // 3, 16 * GIB, 12 * GIB, metal=True),
            f"macOS {ALLOWED}: with `sudo sysctl iogpu.wired_limit_mb=12288` all of it would fit.",
        ),
        (
            SharedLimit(32 * GIB // 3, 16 * GIB, 12 * GIB, metal=False),
            f"Its driver {ALLOWED}; 12.0 GiB would fit all of it (for AMD on Linux: ttm.pages_limit=3145728).",
        ),
        (BeyondTrained(40192, 32768), "The context of 39.25k is longer than the 32k the model was trained on."),
        (LessThanTrained(8192, 131072), "A context of 8k; the model was trained on 128k (--ctx asks for more)."),
        (MostOnDevices(8192, 16384, None), MOST + "16k would not fit."),
        (
            MostOnDevices(8192, 16384, Longer(0.123, None)),
            MOST + "16k fits if the GPUs do not pipeline, which slows prompts down, and costs 12%.",
        ),
        (
            MostOnDevices(8192, 16384, Longer(0.5, EXPERTS)),
            MOST + "16k would move the experts of 4 of 56 layers to the CPU and cost 50%.",
        ),
        (Lowered("kv_type", "q8_0", "f16"), "The KV cache is q8_0: f16 would not fit."),
        (Lowered("ubatch", 256, 512), "The ubatch is 256: 512 would not fit."),
        (
            NothingFits(GIB, 8192, 0, 0, GIB, 3 * GIB // 2),
            (
                "Needs 1.0 GiB for weights, 8k of context and buffers; this machine has 0 MiB of RAM to give: "
                "1.0 GiB too little, for 1.5 GiB of what is free is left to other programs."
            ),
        ),
        (
            NothingFits(42 * GIB, 8192, 7 * GIB, 15 * GIB, 20 * GIB, 2 * GIB),
            (
                "Needs 42.0 GiB for weights, 8k of context and buffers; "
                "this machine has 7.0 GiB of GPU memory and 15.0 GiB of RAM to give: 20.0 GiB too little."
            ),
        ),
        (
            NothingFits(14 * GIB, 500, 0, 15 * GIB, -GIB),
            (
                "Needs 14.0 GiB for weights, 500 of context and buffers; "
                "this machine has 15.0 GiB of RAM to give, too scattered to use."
            ),
        ),
        (Noted("64 GiB of RAM were assumed."), "64 GiB of RAM were assumed."),
    ],
)
def test_reasons_of_a_candidate(reason: Reason, words: str) -> None:
    assert sentence(reason) == words


@pytest.mark.parametrize(
    ("why", "words"),
    [
        (Taken("Q6_K", 12.34, 8192, OnlyOne()), "Q6_K: 12.3 tok/s with a context of 8k, the only one on offer."),
        (
            Taken("Q6_K", 43.4, 8192, BestAt(10.0)),
            "Q6_K: 43.4 tok/s with a context of 8k, the best quality at 10 tok/s or more.",
        ),
        (
            Taken("Q4_K_M", 4.0, 8192, FastestWith(4.2)),
            "Q4_K_M: 4.0 tok/s with a context of 8k, the fastest with 4.2 bits per weight or more.",
        ),
        (
            Taken("Q3_K_M", 2.0, 4096, FastestWith(3.0)),
            "Q3_K_M: 2.0 tok/s with a context of 4k, the fastest with 3 bits per weight or more.",
        ),
        (Taken("IQ2_M", 2.0, 4096, LargestThatRuns()), "IQ2_M: 2.0 tok/s with a context of 4k, the largest that runs."),
        (Better("Q8_0", None, 3 * GIB, 0), "Q8_0 would need 3.0 GiB more memory."),
        (Better("Q8_0", None, 0, 0), "Q8_0 does not fit."),
        (Better("Q8_0", None, 0, 0, "no such tensor"), "Q8_0: llama.cpp refuses it: no such tensor"),
        (Better("Q8_0", 2.5, 0, 0), "Q8_0 would run at 2.5 tok/s."),
        (Better("Q8_0", 2.5, 0, GIB), "Q8_0 would run at 2.5 tok/s and need 1.0 GiB more to be all on the GPU."),
        (Faster("IQ4_XS", 30.0), "IQ4_XS fits the GPU whole and would run at 30.0 tok/s."),
        (
            Taken("Q4_K_M", 30.0, 4096, FromHistory()),
            "Q4_K_M: 30.0 tok/s with a context of 4k, going by what was measured here before.",
        ),
        (NoneRuns(1, "Q4_K_M", Refused("no.")), "It does not run here. Q4_K_M: llama.cpp refuses it: no."),
        (
            NoneRuns(9, "Q2_K", NoDevices()),
            (
                "None of 9 quantizations runs here. Q2_K, the smallest: "
                "There is no GPU to put layers on; --gpu-layers changes nothing."
            ),
        ),
        (WeightsThatFit(19 * GIB), "Weights of up to 19.0 GiB would fit."),
    ],
)
def test_reasons_of_the_choice(why: Why, words: str) -> None:
    assert sentence(why) == words


def test_the_first_line_is_about_a_gpu_that_is_not_used_and_nothing_is_said_twice() -> None:
    plan = large_plan()
    unused = "The GPU is not used."
    one = replace(plan.candidates[3], reasons=(Noted("One."), Noted(unused)))
    assert list(before_load(replace(plan, machine=replace(plan.machine, notes=(unused,))), one)) == [
        unused,
        "Llama 3.3 70B Instruct Q4_K_M: all 81 layers on CUDA0 and CUDA1, 8k context in f16, about 17.3 tok/s.",
        "One.",
    ]


def test_only_what_is_slow_costs() -> None:
    _, split, _, chosen, _ = large_plan().candidates
    assert "19 of 81 layers are on the CPU" in what_costs(split)
    assert what_costs(chosen) == ""


def test_what_was_chosen_says_why_and_another_how_fast_it_would_be() -> None:
    plan = large_plan()
    goes = "All 81 layers on CUDA0 and CUDA1, 8k context in f16"
    assert summary(plan, plan.candidates[3]) == (f"{goes}.", why(plan))
    assert summary(plan, plan.candidates[4]) == (f"{goes}, about 18.9 tok/s.",)
