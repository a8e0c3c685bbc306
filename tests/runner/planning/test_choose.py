"""Which quantization is taken, and what is said about it."""

from dataclasses import replace

import pytest

from models.errors import UsageError
from models.weights import WeightFile, WeightSet
from runner.cost.kv import ContextSettings
from runner.cost.layout import Layout
from runner.planning import search
from runner.planning.choose import Contender, choose
from runner.planning.pick import pick
from runner.planning.placement import place
from runner.planning.problem import Problem
from runner.report.sentences import reasons, why
from runner.types.machine import Machine
from runner.types.plan import Candidate, Plan, Predicted, Source, Verdict
from runner.types.reasons import FastestWith
from runner.types.units import GIB
from runner.types.wish import Prefer, Wish
from scripts.synthetic.mixes import QUANTS
from tests.support.planner import a100, gpu, h100, machine, shape

USUAL = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_K_S", "IQ4_XS", "Q3_K_M", "Q2_K")
BITS = {"F16": 16.0, "Q8_0": 8.5, "Q6_K": 6.6, "Q5_K_M": 5.7, "Q4_K_M": 4.8, "Q3_K_M": 3.9, "Q2_K": 3.0, "IQ2_M": 2.7}


def candidate(quant: str, tps: float | None) -> Candidate:
    """A candidate that runs at `tps`; None: it does not run."""
    predicted = None if tps is None else Predicted(tps, 10 * tps, 2048)
    verdict = Verdict.NO if tps is None else Verdict.GPU
    size = int(BITS[quant] * GIB)
    return Candidate(quant, (quant,), size, BITS[quant], size, verdict, None, (), predicted, Source.FORMULA)


@pytest.mark.parametrize(
    ("speeds", "balanced", "quality", "speed"),
    [
        ({"F16": 12, "Q8_0": 20, "Q6_K": 26, "Q4_K_M": 35}, "Q6_K", "F16", "Q4_K_M"),
        ({"F16": 2, "Q8_0": 26, "Q6_K": 20, "Q4_K_M": 25}, "Q8_0", "Q8_0", "Q8_0"),
        ({"Q8_0": 4, "Q5_K_M": 9.9, "Q4_K_M": 10, "Q3_K_M": 30}, "Q4_K_M", "Q8_0", "Q4_K_M"),
        ({"Q8_0": 4, "Q5_K_M": 8, "Q4_K_M": 9, "Q3_K_M": 30}, "Q4_K_M", "Q8_0", "Q3_K_M"),
        ({"Q8_0": 1, "Q4_K_M": 2.9, "Q3_K_M": 4, "Q2_K": 5}, "Q2_K", "Q4_K_M", "Q2_K"),
        ({"Q8_0": None, "Q4_K_M": None, "Q3_K_M": 1, "IQ2_M": 9}, "Q3_K_M", "Q3_K_M", "Q3_K_M"),
        ({"Q4_K_M": None, "IQ2_M": 0.5}, "IQ2_M", "IQ2_M", "IQ2_M"),
        ({"F16": 5, "Q8_0": None, "Q4_K_M": None}, None, "F16", None),
        ({"F16": 5}, "F16", "F16", "F16"),
        ({"Q8_0": None, "Q4_K_M": None}, None, None, None),
    ],
)
def test_pick(speeds: dict[str, float | None], balanced: str | None, quality: str | None, speed: str | None) -> None:
    offered = [candidate(quant, tps) for quant, tps in speeds.items()]
    for prefer, expected in zip(Prefer, (quality, balanced, speed), strict=True):
        picked = pick(offered, prefer)
        assert (offered[picked[0]].quant if picked else None) == expected


def test_a_wide_file_is_taken_on_request() -> None:
    assert pick([candidate("F16", 1), candidate("Q4_K_M", None)], asked=True) == (0, FastestWith(3.0))


def options(model: str, quants: tuple[str, ...] = USUAL) -> list[Contender]:
    return [
        Contender(
            WeightSet(quant, (WeightFile(f"{model}-{quant}.gguf", shape(model, quant).bytes),)), shape(model, quant)
        )
        for quant in quants
    ]


def plan(model: str, there: Machine, wish: Wish | None = None, quants: tuple[str, ...] = USUAL) -> Plan:
    return choose(model, options(model, quants), there, wish or Wish())


def taken(made: Plan) -> Candidate:
    assert made.chosen is not None
    return made.candidates[made.chosen]


@pytest.mark.parametrize(
    ("model", "there", "quant", "verdict"),
    [
        ("llama-3.3-70b", machine(a100()), "Q6_K", Verdict.GPU),
        ("llama-3.3-70b", machine(a100(), a100(1)), "Q6_K", Verdict.GPU),
        ("mixtral-8x22b", machine(a100(), a100(1)), "Q6_K", Verdict.GPU),
        ("mixtral-8x22b", machine(h100(), ram_gbps=80), "Q5_K_M", Verdict.SPLIT),
        ("mixtral-8x22b", machine(gpu(24, 1008), ram_gbps=64), "IQ4_XS", Verdict.SPLIT),
        ("llama-3.1-8b", machine(gpu(8, 448), ram=16), "Q6_K", Verdict.GPU),
        ("llama-3.1-8b", machine(ram=16, ram_gbps=105), "Q5_K_M", Verdict.CPU),
        ("qwen3-30b-a3b", machine(gpu(8, 448), ram=32), "Q6_K", Verdict.SPLIT),
    ],
)
def test_real_models_on_real_machines(model: str, there: Machine, quant: str, verdict: Verdict) -> None:
    best = taken(plan(model, there))
    assert (best.quant, best.verdict) == (quant, verdict)


def test_why_names_what_was_given_up_and_what_would_be_faster() -> None:
    made = plan("mixtral-8x22b", machine(h100(), ram_gbps=80))
    first, better, faster = why(made).split(". ")
    assert first.startswith("Q5_K_M: ") and first.endswith("the best quality at 10 tok/s or more")
    assert better.startswith("Q6_K would run at ") and better.endswith(" GiB more to be all on the GPU")
    assert faster.startswith("Q4_K_S fits the GPU whole and would run at ")
    small = plan("llama-3.3-70b", machine(gpu(24), ram=14, ram_gbps=66))
    assert "would need" in why(small) and "more memory." in why(small)


def test_nothing_fits() -> None:
    made = plan("llama-3.3-70b", machine(gpu(8, 448), ram=16))
    assert made.chosen is None
    assert all(item.verdict is Verdict.NO and item.predicted is None for item in made.candidates)
    assert why(made).startswith("None of 9 quantizations runs here. Q2_K, the smallest: Needs 27.")
    assert "this machine has 7.0 GiB of GPU memory and 15.0 GiB of RAM to give" in why(made)
    size = float(why(made).rsplit("Weights of up to ", 1)[1].split()[0])
    assert 19 < size < 20


def test_two_bits_run_on_the_laptop_at_a_cost() -> None:
    made = plan("llama-3.3-70b", machine(gpu(8, 448), ram=20), quants=("Q4_K_M", "IQ2_M"))
    best = taken(made)
    assert (best.quant, best.verdict) == ("IQ2_M", Verdict.SPLIT)
    assert "slower than with everything on the GPU" in reasons(best)[0]
    assert "Q4_K_M would need 1" in why(made)


def test_candidates_come_best_quality_first_with_their_files() -> None:
    made = plan("llama-3.1-8b", machine(gpu(24)))
    assert [item.quant for item in made.candidates] == list(USUAL)
    first = made.candidates[0]
    assert first.files == ("llama-3.1-8b-F16.gguf",)
    assert first.file_bytes == first.download_bytes == shape("llama-3.1-8b", "F16").bytes
    assert (made.model.name, made.model.layers, made.model.context_trained) == ("llama-3.1-8b", 32, 131072)


def test_one_quantization_by_name() -> None:
    made = plan("llama-3.1-8b", machine(gpu(24)), Wish(quant="q3_k_m"))
    assert [item.quant for item in made.candidates] == ["Q3_K_M"]
    assert why(made).endswith("the only one on offer.")
    with pytest.raises(UsageError, match=r"no Q9 here; on offer: F16, Q8_0"):
        plan("llama-3.1-8b", machine(gpu(24)), Wish(quant="Q9"))


def test_layers_by_command_that_overdraw_leave_nothing_chosen() -> None:
    made = plan("llama-3.3-70b", machine(gpu(24)), Wish(gpu_layers=81), quants=("Q4_K_M",))
    assert made.chosen is None and made.candidates[0].predicted is not None
    assert why(made).startswith("It does not run here. Q4_K_M: CUDA0 is overdrawn by ")


def test_each_option_is_rehearsed_by_its_own() -> None:
    asked: list[str] = []

    def listening(option: Contender) -> Contender:
        return replace(option, rehearse=lambda _: asked.append(option.weights.quant))

    choose("m", [listening(option) for option in options("llama-3.1-8b")], machine(gpu(24)), Wish())
    assert sorted(asked) == sorted(USUAL)


def test_fourteen_candidates_are_found_among_few_layouts(monkeypatch: pytest.MonkeyPatch) -> None:
    quants = tuple(quant for quant in QUANTS if quant not in ("MXFP4_MOE", "BF16"))[:14]
    there = machine(gpu(24), gpu(12, 360, 1))
    weigh, weighed = search.weigh, []

    def counted(problem: Problem, settings: ContextSettings, layout: Layout) -> search.Proposal:
        weighed.append(layout)
        return weigh(problem, settings, layout)

    monkeypatch.setattr(search, "weigh", counted)
    for option in options("mixtral-8x22b", quants):
        place(option.shape, there, Wish())
    assert len(quants) < len(weighed) < 150 * len(quants)  # 1713, each about half a millisecond
