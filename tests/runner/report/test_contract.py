"""The contract's JSON: every field it promises, with the sums it promises."""

import json
from dataclasses import replace
from types import SimpleNamespace

from models.errors import DoesNotFit
from models.weights import WeightFile, WeightSet
from runner.planning.choose import Contender, choose
from runner.report.contract import answer_json, bench_json, error_json, plan_json, planned_and_measured
from runner.types.drafts import Drafted, DraftKind
from runner.types.engine import ComponentBytes, Loaded
from runner.types.generation import Chunk, Finish, LikelyToken, Phase, TokenLogprobs
from runner.types.measurement import Benchmark
from runner.types.placement import Placement
from runner.types.plan import Plan, Verdict
from runner.types.sampling import Sampling
from runner.types.wish import Wish
from tests.support.planner import a100, gpu, machine, shape

CANDIDATE = {
    "quant", "files", "file_bytes", "bits_per_weight", "download_bytes", "verdict", "ctx", "kv_type", "placement",
    "memory", "predicted", "confirmed_by", "reasons",
}  # fmt: skip
PLACEMENT = {
    "devices", "gpu_layers", "layers_total", "tensor_split", "overrides", "experts_on_cpu", "ffn_on_cpu", "ubatch",
    "outputs", "threads", "load_mode",
}  # fmt: skip
DEVICE = {"id", "kind", "name", "total", "free", "bandwidth", "shares_host_memory"}
MODEL = {"name", "arch", "parameters", "layers", "experts", "experts_used", "context_trained"}


def planned(*gpus: object, ram: float = 128) -> Plan:
    options = [
        Contender(
            WeightSet(quant, (WeightFile(f"m-{quant}.gguf", shape("mixtral-8x22b", quant).bytes),)),
            shape("mixtral-8x22b", quant),
        )
        for quant in ("Q8_0", "Q4_K_M")
    ]
    return choose("mixtral", options, machine(*gpus, ram=ram), Wish())  # type: ignore[arg-type]


def test_a_plan_has_every_field_of_the_contract() -> None:
    told = json.loads(json.dumps(plan_json(planned(a100()))))
    assert set(told) >= {"model", "machine", "candidates", "chosen", "why", "fetched_bytes", "seconds"}
    assert set(told["model"]) >= MODEL
    assert set(told["machine"]) >= {"source", "ram_available", "ram_bandwidth", "devices"}
    assert all(set(device) >= DEVICE for device in told["machine"]["devices"])
    assert [device["kind"] for device in told["machine"]["devices"]] == ["gpu", "cpu"]
    assert [one["quant"] for one in told["candidates"]] == ["Q8_0", "Q4_K_M"]
    for one in told["candidates"]:
        assert set(one) >= CANDIDATE and set(one["placement"]) >= PLACEMENT
        assert set(one["predicted"]) >= {"decode_tps", "prefill_tps", "at_depth"}
        assert len(one["placement"]["tensor_split"]) == len(one["placement"]["devices"])
        assert one["memory"][-1]["device"] == "CPU"
        for row in one["memory"]:
            assert row["total"] == row["weights"] + row["kv"] + row["compute"] + row["overhead"]
            assert row["free_after"] == row["free"] - row["total"]


def test_where_nothing_runs_chosen_is_null() -> None:
    told = plan_json(planned(gpu(8), ram=16))
    assert told["chosen"] is None and told["why"]
    assert {(one["verdict"], one["predicted"], one["ctx"]) for one in told["candidates"]} == {("no", None, None)}


LOADED = Loaded(512, 0.5, (ComponentBytes("CPU", 1, 2, 3),), "", ("One note.",))


def test_an_answer_has_every_field_of_the_contract() -> None:
    plan = planned(a100())
    done, notes = Finish.LENGTH, ("Another note.",)
    last = Chunk(Phase.DONE, prompt_tokens=5, completion_tokens=2, ttft_s=0.12345, seed=7, finish=done, notes=notes)
    placement = Placement((), 0, 3, (), 512)
    session = SimpleNamespace(
        plan=plan,
        candidate=plan.candidates[1],
        recommended=plan.recommended(plan.candidates[1]),
        placement=placement,
        loaded=LOADED,
        slowness=None,
    )
    drawn, other = LikelyToken(5, " a", (32, 97), -0.12345678), LikelyToken(6, "\ufffd", (226,), -2.5)
    told = answer_json("text", "", last, session, Sampling(top_k=3, seed=7), [TokenLogprobs(drawn, (drawn, other))])
    first = {"id": 5, "token": " a", "bytes": [32, 97], "logprob": -0.123457}
    second = {"id": 6, "token": "\ufffd", "bytes": [226], "logprob": -2.5}
    assert told["logprobs"] == [{**first, "top_logprobs": [first, second]}]
    assert answer_json("text", "", last, session, Sampling())["logprobs"] is None
    assert told["model"] == {"name": "mixtral", "quant": "Q4_K_M"}
    assert (told["text"], told["reasoning"], told["finish_reason"], told["seed"]) == ("text", None, "length", 7)
    assert told["usage"] == {"prompt_tokens": 5, "cached_tokens": 0, "completion_tokens": 2, "reread_reason": None}
    anew = answer_json("", "", replace(last, prompt_tokens=900, shared_tokens=700), session, Sampling())
    assert anew["usage"]["reread_reason"] == "the model's cache could not go back to where they part"
    drafted = replace(last, draft=Drafted(DraftKind.LOOKUP, 8, 5, 1.3214))
    timings = answer_json("", "", drafted, session, Sampling())["timings"]
    assert timings["draft"] == {"kind": "lookup", "drafted": 8, "accepted": 5, "gain": 1.321}
    assert told["timings"] == {"load_s": 0.5, "ttft_s": 0.123, "prefill_tps": None, "decode_tps": None}
    assert set(told["placement"]) >= PLACEMENT | {"ctx", "kv_type"}
    assert told["notes"] == ["One note.", "Another note."]
    assert told["sampling"] == {
        "temp": (0.8, "default"),
        "top_p": (0.95, "default"),
        "top_k": (3, "asked"),
        "min_p": (0.05, "default"),
        "repeat_penalty": (1.0, "default"),
        "frequency_penalty": (0.0, "default"),
        "presence_penalty": (0.0, "default"),
    }


def test_planned_and_measured_stand_side_by_side() -> None:
    one = planned(a100()).candidates[1]
    rows = planned_and_measured(one.memory, [ComponentBytes("CPU", 1, 2, 3), ComponentBytes("CUDA7", 4, 5, 6)])
    assert [row["device"] for row in rows] == ["CUDA0", "CUDA7", "CPU"]
    assert rows[0]["measured"] is None and rows[1]["planned"] is None
    assert rows[2]["measured"] == {"weights": 1, "kv": 2, "compute": 3}


def test_a_benchmark_has_every_field_of_the_contract() -> None:
    measured = Benchmark(10.123, (9.0, 11.0), 100.0, (90.0, 110.0), 0.5, 512, Chunk(Phase.DONE))
    told = bench_json(measured, planned(a100()).candidates[1], LOADED, 5)
    assert set(told) >= {
        "decode_tps", "decode_tps_range", "prefill_tps", "prefill_tps_range", "ttft_s", "load_s", "predicted",
        "memory", "runs",
    }  # fmt: skip
    assert (told["decode_tps"], told["decode_tps_range"], told["runs"]) == (10.12, [9.0, 11.0], 5)


def test_an_error_is_json_too() -> None:
    assert error_json(DoesNotFit("It does not.")) == {
        "error": {"kind": "DoesNotFit", "message": "It does not.", "code": 5}
    }
    said = {"kind": "Interrupted", "message": "interrupted", "code": 130}
    assert error_json(KeyboardInterrupt()) == {"finish_reason": "interrupted", "error": said}


def test_the_verdicts_are_the_contracts() -> None:
    assert [verdict.value for verdict in Verdict] == ["gpu", "split", "cpu", "no"]
