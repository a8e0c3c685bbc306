"""Placements that were measured beside each other, as a table, a sentence and JSON."""

import json
from dataclasses import replace

from runner.report.tuning import conclusion, differences, trial_line, tuning_json, tuning_table
from runner.types.exchange import Exchange, Wait
from runner.types.machine import Machine
from runner.types.placement import Override, Placement
from runner.types.plan import ModelInfo, Plan, Predicted
from runner.types.tuning import Timed, Trial, Tuning

OWN = Placement(("CUDA0",), 33, 33, (33,), 8192, overrides=(Override("x", "CPU"),), ffn_on_cpu=4, threads=7)
LAYERS = replace(OWN, gpu_layers=28, tensor_split=(28,), overrides=(), ffn_on_cpu=0)
MIX = (Exchange(0, 512, 256, 1.0),)
PLANNED = Wait(MIX, 2.0, 8.0)


def trial(placement: Placement, changed: str, seconds: float | None) -> Trial:
    timed = Timed(500.0, 20.0, 1.5, Wait(MIX, 2.0, seconds - 2)) if seconds else None
    return Trial(placement, changed, Predicted(25, 600, 2048), PLANNED, timed, None if timed else "It lacks memory.")


def tuning(*trials: Trial, best: int = 0, gain: float = 0.0) -> Tuning:
    return Tuning(trials, Exchange(0, 512, 64), best, gain, gain >= 0.03)


WON = tuning(
    trial(OWN, "", 12.0),
    trial(LAYERS, "layout", 10.0),
    trial(replace(OWN, threads=8), "threads", None),
    best=1,
    gain=0.2,
)


def test_what_a_placement_does_otherwise() -> None:
    assert differences(OWN, OWN) == "as planned"
    assert differences(LAYERS, OWN) == "28 of 33 layers on CUDA0"
    other = replace(OWN, ubatch=1024, threads=8, load_mode="none")
    assert differences(other, OWN) == "ubatch 1024, threads 8, not mapped"
    assert trial_line(WON.trials[1], OWN) == "28 of 33 layers on CUDA0: 10 s a request"
    assert trial_line(WON.trials[2], OWN) == "threads 8: It lacks memory."


def test_the_table_and_what_comes_of_it() -> None:
    lines = list(tuning_table(WON).lines())
    assert [line.split()[0] for line in lines] == ["placement", "as", "28", "threads"]
    assert "500" in lines[1] and "12 s" in lines[1] and "10 s" in lines[1] and "It lacks memory." in lines[3]
    assert conclusion(WON) == (
        "Best: 28 of 33 layers on CUDA0. A request takes 10 s in the mean, 12 s as planned: 20% faster. "
        "The next plan takes it."
    )
    assert conclusion(tuning(*WON.trials, best=1, gain=0.01)).startswith("Nothing that was measured beats the plan")
    assert "--budget" in conclusion(tuning(WON.trials[0]))


def test_every_row_in_json() -> None:
    machine = Machine("probe", (), 1 << 34, 1 << 34, 40e9, 8)
    plan = Plan(ModelInfo("m", "llama", 8, 32, 0, 0, 8192), machine, (), None, ())
    told = tuning_json(WON, plan, "Q4_K_M")
    assert json.loads(json.dumps(told)) == told
    assert (told["best"], told["gain"], told["kept"], told["model"]) == (1, 0.2, True, {"name": "m", "quant": "Q4_K_M"})
    assert [row["changed"] for row in told["rows"]] == [None, "layout", "threads"]
    assert told["rows"][1]["measured"] == {"prefill_tps": 500.0, "decode_tps": 20.0, "load_s": 1.5, "request_s": 10.0}
    assert told["rows"][2]["measured"] is None and told["rows"][2]["failure"] == "It lacks memory."
    assert told["rows"][1]["placement"]["gpu_layers"] == 28 and told["mix"][0]["prompt"] == 512
